"""Only one entry is compared.

exercise: bug
caught-by: bug_region, bug_coupling
"""


def check_gradient(f, df):
    x = 2 * torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).clamp(-2, 2)
    claimed = df(x)
    assert claimed.shape == x.shape
    assert claimed.dtype == x.dtype
    assert abs(float(claimed[0, 0] - numerical_grad(f, x)[0, 0])) < 1e-5
