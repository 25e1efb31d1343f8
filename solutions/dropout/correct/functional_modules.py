"""Modules by way of closures and small helpers; the check of the last exercise with its own helper functions."""


class Dropout(nn.Module):
    def __init__(self, p=0.5, generator=None):
        super().__init__()
        dropout(torch.zeros(()), p, training=False)
        self.p = p
        self._draw = lambda shape: torch.empty(shape).uniform_(generator=generator)

    def forward(self, x):
        if not self.training:
            return x
        if self.p == 1:
            return x * 0
        return x * (self._draw(x.shape).to(x.device) >= self.p) / (1 - self.p)


class StandardDropout(nn.Module):
    def __init__(self, p=0.5, generator=None):
        super().__init__()
        dropout_mask((), p, generator=torch.Generator())
        self.p = p
        self.generator = generator

    def forward(self, x):
        factor = 1 - self.p
        if self.training:
            factor = (dropout_mask(x.shape, self.p, generator=self.generator, device=x.device) != 0).to(x.dtype)
        return x * factor


def check_dropout(fn):
    def seeded(seed):
        return torch.Generator().manual_seed(seed)

    def binomial(count, n, p):
        return abs(float(count) - n * p) <= 6 * (n * p * (1 - p)) ** 0.5

    x = (1 + torch.rand(100, 40, generator=seeded(1), dtype=torch.float32)).requires_grad_()
    for p in (0.25, 0.8):
        y = fn(x, p, True, seeded(2))
        mask = y.detach() / x.detach()
        alive = mask > 0
        if not isinstance(y, torch.Tensor) or y.dtype != x.dtype or y.shape != x.shape:
            raise AssertionError("type")
        assert torch.allclose(mask, alive / (1 - p), rtol=1e-5), "values"
        assert binomial(alive.sum(), alive.numel(), 1 - p), "rate"
        for sums, n in ((alive.sum(0), 100), (alive.sum(1), 40)):
            assert sums.unique().numel() > 2, "fixed or shared in a line"
            assert all(binomial(value, n, 1 - p) or n * p * (1 - p) < 20 for value in sums), "together"
        g = seeded(3)
        totals = {int((fn(x, p, True, g) != 0).sum()) for _ in range(6)}
        assert len(totals) > 1, "count"
        g = seeded(2)
        assert torch.equal(fn(x, p, True, g), y), "seed"
        assert not torch.equal(fn(x, p, True, g), y), "stuck"
        assert y.requires_grad, "cut off"
        upstream = torch.rand(y.shape, generator=seeded(4))
        assert torch.allclose(torch.autograd.grad(y, x, upstream)[0], mask * upstream, rtol=1e-5), "gradient"
        assert torch.equal(fn(x, p, False, seeded(5)), x), "evaluation"
    assert fn(x.double(), 0.5, True, seeded(6)).dtype == torch.float64, "dtype"
    y = fn(x, 1.0, True, seeded(6))
    assert torch.equal(y, torch.zeros_like(y)), "p = 1"
    assert not torch.autograd.grad(y.sum(), x)[0].any(), "gradient at p = 1"
