"""Only one side.

exercise: masks
caught-by: local_mask_values
told: only the past was allowed; the window has two sides
"""


def local_mask(n, window):
    position = torch.arange(n)
    return ((position[:, None] - position) <= window) & (position <= position[:, None])
