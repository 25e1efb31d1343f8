"""Compared with the own cross_entropy, batch by batch, with other errors turned into a find.

exercise: bug
"""


def _agree(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and torch.allclose(a, b, rtol=1e-8, atol=2e-9)


def check_cross_entropy(fn):
    g = torch.Generator().manual_seed(7)
    z = (
        torch.randn(9, 6, generator=g, dtype=torch.float64)
        * torch.tensor([1.0, 25.0, 1500.0]).double().repeat(3)[:, None]
    )
    y = torch.cat([z.argmax(1)[:4], torch.randint(6, (5,), generator=g)])
    for options in ((), ("sum",), ("none",), ("mean", 0.4), ("sum", 0.4), ("none", 0.4)):
        mine, theirs = z.clone().requires_grad_(), z.clone().requires_grad_()
        a, b = cross_entropy(mine, y, *options), fn(theirs, y, *options)
        assert _agree(b, a), "loss"
        try:
            b.sum().backward()
        except RuntimeError as error:
            raise AssertionError("no gradient") from error
        a.sum().backward()
        assert theirs.grad is not None and _agree(theirs.grad, mine.grad), "gradient"
