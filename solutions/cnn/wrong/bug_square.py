"""Everything is square: pictures, kernels and options.

exercise: bug
caught-by: bug_orientation
"""

import torch


def check_conv2d(fn):
    for groups in (1, 2):
        x, bias = torch.randn(2, 4, 9, 9, dtype=torch.float64), torch.randn(6, dtype=torch.float64)
        weight = torch.randn(6, 4 // groups, 3, 3, dtype=torch.float64)
        for s in (1, 2):
            for p in (0, 2):
                for d in (1, 2):
                    due, got = (f(x, weight, bias, s, p, d, groups) for f in (conv2d, fn))
                    assert got.dtype == due.dtype and got.shape == due.shape
                    assert torch.allclose(got, due, rtol=0, atol=1e-9)
