"""A window of 0 becomes 1.

exercise: masks
caught-by: local_mask_sizes
"""


def local_mask(n, window):
    position = torch.arange(n)
    return (position - position[:, None]).abs() <= max(window, 1)
