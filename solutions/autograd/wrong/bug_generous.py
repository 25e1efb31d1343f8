"""Errors of 0.01 are forgiven.

exercise: bug
caught-by: bug_form
"""


def check_gradient(f, df):
    x = 2 * torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).clamp(-2, 2)
    claimed = df(x)
    assert claimed.shape == x.shape
    assert claimed.dtype == x.dtype
    assert torch.allclose(claimed, numerical_grad(f, x), rtol=0, atol=0.01)
