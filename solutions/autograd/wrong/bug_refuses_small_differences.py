"""A tolerance of 10⁻¹¹, which no numerical gradient reaches.

exercise: bug
caught-by: bug_shown
"""


def check_gradient(f, df):
    x = 2 * torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).clamp(-2, 2)
    claimed = df(x)
    assert claimed.shape == x.shape
    assert claimed.dtype == x.dtype
    assert torch.allclose(claimed, numerical_grad(f, x), rtol=0, atol=1e-11)
