"""The window is the whole width.

exercise: masks
caught-by: local_mask_values
told: the window was taken for the whole width; it reaches that far to each side
"""


def local_mask(n, window):
    position = torch.arange(n)
    return (position - position[:, None]).abs() <= window // 2
