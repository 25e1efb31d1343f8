"""Directional differences: two calls of f for each direction."""


def check_gradient(f, df):
    generator = torch.Generator().manual_seed(3)
    for _ in range(12):
        x = (2.2 * torch.randn(5, 4, generator=generator, dtype=torch.float64)).clamp(-4.5, 4.5)
        u = torch.randn(5, 4, generator=generator, dtype=torch.float64)
        claimed = df(x)
        assert tuple(claimed.shape) == (5, 4)
        assert claimed.dtype == torch.float64
        slope = (f(x + 1e-6 * u) - f(x - 1e-6 * u)) / 2e-6
        assert abs(float((claimed * u).sum() - slope)) < 3e-5
