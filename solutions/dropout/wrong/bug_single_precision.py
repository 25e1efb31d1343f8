"""Only float32 is tried.

exercise: bug
caught-by: bug_values
"""


def _run(fn, x, p, training=True, seed=5):
    return fn(x, p, training, torch.Generator().manual_seed(seed))


def check_dropout(fn):
    x = torch.ones(60, 60, dtype=torch.float32, requires_grad=True)
    p = 0.3
    y = _run(fn, x, p)
    zeros = (y == 0).float()
    assert y.dtype == x.dtype and y.requires_grad
    assert torch.allclose(y, (1 - zeros) / (1 - p))
    assert abs(zeros.mean() - p) < 0.05
    assert all(0 < rate < 1 for dim in (0, 1) for rate in zeros.mean(dim))
    assert all(zeros.mean(dim).unique().numel() > 1 for dim in (0, 1))
    assert len({int((_run(fn, x, p, seed=s) == 0).sum()) for s in range(4)}) > 1
    generator = torch.Generator().manual_seed(5)
    assert torch.equal(fn(x, p, True, generator), y)
    assert not torch.equal(fn(x, p, True, generator), y)
    assert torch.allclose(torch.autograd.grad(y.sum(), x)[0], y)
    assert torch.allclose(_run(fn, x, p, False), x)
    end = _run(fn, x, 1.0)
    assert not end.any()
    assert not torch.autograd.grad(end.sum(), x)[0].any()
