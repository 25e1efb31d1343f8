"""Returns True or False, and raises nothing.

exercise: bug
caught-by: bug_shown
"""

import torch


def check_conv2d(fn):
    x, weight = torch.randn(1, 2, 6, 6), torch.randn(3, 2, 3, 3)
    return torch.allclose(fn(x, weight), conv2d(x, weight), atol=1e-4)
