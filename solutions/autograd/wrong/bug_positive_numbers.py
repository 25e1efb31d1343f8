"""Entries between 0 and 4 only.

exercise: bug
caught-by: bug_region
"""


def check_gradient(f, df):
    x = 4 * torch.rand(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    claimed = df(x)
    assert claimed.shape == x.shape
    assert claimed.dtype == x.dtype
    assert torch.allclose(claimed, numerical_grad(f, x), rtol=0, atol=1e-5)
