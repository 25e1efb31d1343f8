"""Kernels full of ones look the same from all sides.

exercise: bug
caught-by: bug_shown
"""

import torch


def check_conv2d(fn):
    x = torch.arange(36.0).view(1, 1, 6, 6)
    assert torch.equal(fn(x, torch.ones(1, 1, 3, 3)), conv2d(x, torch.ones(1, 1, 3, 3)))
