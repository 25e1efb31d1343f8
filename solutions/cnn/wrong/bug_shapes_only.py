"""Compares shapes.

exercise: bug
caught-by: bug_shown
"""

import torch


def check_conv2d(fn):
    x, weight = torch.randn(2, 4, 9, 7), torch.randn(6, 2, 3, 2)
    for options in ({}, {"stride": (2, 1)}, {"padding": (1, 2)}, {"dilation": (1, 2)}):
        assert fn(x, weight, groups=2, **options).shape == conv2d(x, weight, groups=2, **options).shape
