"""Random numbers, but the options stay as they are.

exercise: bug
caught-by: bug_orientation, bug_options, bug_channels
"""

import torch


def check_conv2d(fn):
    x, weight = torch.randn(2, 3, 9, 7, dtype=torch.float64), torch.randn(4, 3, 3, 3, dtype=torch.float64)
    result, due = fn(x, weight), conv2d(x, weight)
    assert result.shape == due.shape and torch.allclose(result, due)
