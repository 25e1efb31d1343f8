"""Fails when the window is larger than the sequence.

exercise: masks
caught-by: local_mask_sizes
"""


def local_mask(n, window):
    assert window <= n
    position = torch.arange(n)
    return (position - position[:, None]).abs() <= window
