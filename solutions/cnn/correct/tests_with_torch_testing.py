"""A check that draws many random cases, and leaves the comparison to torch.testing."""

import random

import torch


def check_conv2d(fn):
    draw = random.Random(4)
    for _ in range(60):
        groups = draw.choice([1, 2, 3])
        options = {
            name: (draw.randint(low, 3), draw.randint(low, 3))
            for name, low in (("stride", 1), ("padding", 0), ("dilation", 1))
        }
        dtype = draw.choice([torch.float32, torch.float64, torch.float64])
        x = torch.randn(2, 6, 8 + draw.randint(0, 3), 9 + draw.randint(0, 3), dtype=dtype)
        weight = torch.randn(6, 6 // groups, draw.choice([2, 3]), 3, dtype=dtype)
        bias = draw.choice([None, torch.randn(6, dtype=dtype)])
        tolerance = {"rtol": 0, "atol": 1e-3 if dtype == torch.float32 else 1e-9}
        torch.testing.assert_close(
            fn(x, weight, bias, groups=groups, **options),
            conv2d(x, weight, bias, groups=groups, **options),
            **tolerance,
        )
