"""Only two classes with logits (0, 0) are tried.

exercise: bug
caught-by: bug_shown
"""


def check_cross_entropy(fn):
    z = torch.zeros(1, 2, dtype=torch.float64)
    y = torch.zeros(1, dtype=torch.int64)
    for s in (0.0, 0.1, 0.5):
        assert torch.allclose(fn(z, y, "mean", s), torch.tensor(2.0, dtype=torch.float64).log())
