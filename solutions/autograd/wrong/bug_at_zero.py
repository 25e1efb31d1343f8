"""The test point is 0.

exercise: bug
caught-by: bug_shown
"""


def check_gradient(f, df):
    x = torch.zeros(3, 2, dtype=torch.float64)
    claimed = df(x)
    assert claimed.shape == x.shape
    assert torch.allclose(claimed, numerical_grad(f, x), atol=1e-5)
