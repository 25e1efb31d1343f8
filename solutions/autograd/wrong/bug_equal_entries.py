"""All entries of the test point are equal.

exercise: bug
caught-by: bug_coupling
"""


def check_gradient(f, df):
    for value in (-3.0, -0.7, 0.3, 2.5):
        x = torch.full((4, 4), value, dtype=torch.float64)
        claimed = df(x)
        assert claimed.shape == x.shape
        assert claimed.dtype == x.dtype
        assert torch.allclose(claimed, numerical_grad(f, x), rtol=0, atol=1e-5)
