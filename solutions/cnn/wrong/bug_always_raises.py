"""Refuses everything.

exercise: bug
caught-by: bug_shown
"""

import torch


def check_conv2d(fn):
    fn(torch.ones(1, 1, 4, 4), torch.ones(1, 1, 2, 2))
    raise AssertionError("wrong")
