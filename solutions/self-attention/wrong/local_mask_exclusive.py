"""The window itself is left out.

exercise: masks
caught-by: local_mask_values
told: the distance was taken below the window; equal to it is allowed
"""


def local_mask(n, window):
    position = torch.arange(n)
    return (position - position[:, None]).abs() < window
