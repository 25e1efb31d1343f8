"""The verdict is returned, not raised.

exercise: bug
caught-by: bug_shown
"""


def check_cross_entropy(fn):
    g = torch.Generator().manual_seed(1)
    z = torch.randn(8, 4, generator=g, dtype=torch.float64)
    y = torch.randint(4, (8,), generator=g)
    return all(torch.allclose(fn(z, y, "mean", s), cross_entropy(z, y, "mean", s)) for s in (0.0, 0.2))
