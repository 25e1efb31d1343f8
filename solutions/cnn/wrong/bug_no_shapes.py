"""Values are compared before shapes: another exception than the one that counts.

exercise: bug
caught-by: bug_orientation, bug_options
"""

import torch


def check_conv2d(fn):
    x, bias = torch.randn(2, 4, 9, 7, dtype=torch.float64), torch.randn(6, dtype=torch.float64)
    for groups in (1, 2):
        weight = torch.randn(6, 4 // groups, 3, 2, dtype=torch.float64)
        for options in ({}, {"stride": (2, 1)}, {"stride": 2, "padding": (1, 2), "dilation": (2, 1)}):
            due, got = (f(x, weight, bias, groups=groups, **options) for f in (conv2d, fn))
            assert got.dtype == due.dtype and (got - due).abs().max() < 1e-9
