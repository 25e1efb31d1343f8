"""The past is limited, the future is not.

exercise: masks
caught-by: local_mask_values
"""


def local_mask(n, window):
    position = torch.arange(n)
    return (position - position[:, None]).neg() <= window
