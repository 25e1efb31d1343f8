"""A check by way of lists of failures, numpy and a large number of coins."""

import numpy as np


def check_dropout(fn):
    failures = []
    x = torch.ones(200, 50, dtype=torch.float64, requires_grad=True)
    generator = torch.Generator().manual_seed(123)
    masks = []
    for p in [0.1, 0.4, 0.6]:
        y = fn(x, p=p, training=True, generator=generator)
        if y.grad_fn is None or y.dtype is not torch.float64:
            raise AssertionError("no graph, or another dtype")
        y.sum().backward()
        if not np.allclose(x.grad.numpy(), y.detach().numpy()):
            failures.append("gradient")
        x.grad = None
        z = y.detach().numpy()
        if not np.allclose(z * (1 - p), z != 0):
            failures.append("values")
        counts = [(z == 0).sum()]
        for _ in range(4):
            counts.append((fn(x, p=p, training=True, generator=generator).detach().numpy() == 0).sum())
        if np.std(counts) == 0:
            failures.append("counts")
        if abs(np.mean(counts) - 10_000 * p) > 6 * np.sqrt(10_000 * p * (1 - p) / 5):
            failures.append("rate")
        for axis, n in ((0, 200), (1, 50)):
            ratio = (z == 0).mean(axis).var() * n / (p * (1 - p))
            if not 1 - 6 * np.sqrt(2 * n / 10_000) < ratio < 1 + 6 * np.sqrt(2 * n / 10_000) + 0.5:
                failures.append("lines")
        masks.append(z == 0)
        if not np.array_equal(fn(x, p, False, generator).detach().numpy(), np.ones((200, 50))):
            failures.append("evaluation")
    one, other = (fn(x, 0.5, True, torch.Generator().manual_seed(9)) for _ in range(2))
    if not torch.equal(one, other):
        failures.append("generator")
    if np.array_equal(masks[0], masks[1]) or torch.equal(fn(x, 0.5, True, generator), fn(x, 0.5, True, generator)):
        failures.append("stuck")
    end = fn(x, 1.0, True, generator)
    if end.isnan().any() or end.any() or not np.array_equal(torch.autograd.grad(end.sum(), x)[0], np.zeros((200, 50))):
        failures.append("p = 1")
    assert not failures, failures
