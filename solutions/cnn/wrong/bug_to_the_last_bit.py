"""No rounding is forgiven.

exercise: bug
caught-by: bug_options
"""

import torch


def check_conv2d(fn):
    x, bias = torch.randn(2, 4, 9, 7, dtype=torch.float64), torch.randn(6, dtype=torch.float64)
    for groups in (1, 2):
        for size in ((3, 2), (3, 3)):
            weight = torch.randn(6, 4 // groups, *size, dtype=torch.float64)
            for options in (
                {},
                {"stride": (2, 1)},
                {"padding": (1, 2)},
                {"dilation": (1, 2)},
                {"stride": (2, 3), "padding": (2, 1), "dilation": (2, 1)},
            ):
                due, got = (f(x, weight, bias, groups=groups, **options) for f in (conv2d, fn))
                assert got.dtype == due.dtype and got.shape == due.shape
                assert torch.equal(got, due)
