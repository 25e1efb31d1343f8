"""Every label is that of the largest logit.

exercise: bug
caught-by: bug_values
"""


def check_cross_entropy(fn):
    g = torch.Generator().manual_seed(1)
    z = torch.randn(8, 4, generator=g, dtype=torch.float64)
    z[2:4] *= 20
    z[4:6] *= 1000
    z.requires_grad_()
    y = z.argmax(1)
    for s in (0.0, 0.2):
        for r in ("mean", "sum", "none"):
            due = cross_entropy(z, y, r, s)
            got = fn(z, y, r, s)
            assert got.shape == due.shape and got.dtype == due.dtype and got.requires_grad
            assert torch.allclose(got, due, rtol=1e-8, atol=2e-9)
            d, e = (torch.autograd.grad(v.sum(), z, retain_graph=True)[0] for v in (due, got))
            assert torch.allclose(d, e, rtol=1e-8, atol=2e-9)
