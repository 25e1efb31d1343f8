"""Numerical gradients are expected to be exact.

exercise: bug
caught-by: bug_shown
"""


def check_gradient(f, df):
    x = torch.randn(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(df(x), numerical_grad(f, x))
