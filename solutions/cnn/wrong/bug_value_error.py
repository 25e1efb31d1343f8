"""Raises ValueError, which is not what was asked for.

exercise: bug
caught-by: bug_shown
"""

import torch


def check_conv2d(fn):
    x, weight = torch.randn(1, 2, 6, 6), torch.randn(3, 2, 3, 3)
    if not torch.allclose(fn(x, weight), conv2d(x, weight), atol=1e-4):
        raise ValueError("wrong")
