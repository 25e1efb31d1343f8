"""A wrong shape raises whatever it raises.

exercise: bug
caught-by: bug_form
"""


def check_gradient(f, df):
    x = 2 * torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).clamp(-2, 2)
    claimed = df(x)
    assert claimed.ndim == 2
    assert (claimed - numerical_grad(f, x)).abs().max() < 1e-5
    assert claimed.dtype == x.dtype
