"""Optimises a perturbation delta, as the papers do; never an image."""


def fgsm(model, x, y, eps, *, targeted=False, clip=(0.0, 1.0), loss_fn=F.cross_entropy):
    budget = torch.as_tensor(eps, dtype=x.dtype)
    if budget.min() < 0:
        raise ValueError("eps < 0")
    base = x.detach()
    delta = torch.zeros_like(base)
    slope = input_gradient(model, base + delta, y, loss_fn)
    delta = budget * torch.sgn(slope) * (-1 if targeted else 1)
    if clip is not None:
        delta = torch.clamp(base + delta, *clip) - base
    attacked = base + delta
    return attacked if clip is None else attacked.clamp(*clip)


def pgd(
    model,
    x,
    y,
    eps,
    alpha,
    steps,
    *,
    targeted=False,
    random_start=False,
    clip=(0.0, 1.0),
    generator=None,
    loss_fn=F.cross_entropy,
):
    budget = torch.as_tensor(eps, dtype=x.dtype)
    if (budget < 0).any() or alpha < 0 or steps < 0:
        raise ValueError("negative eps, alpha or steps")
    base = x.detach()

    def project(delta):
        delta = torch.maximum(torch.minimum(delta, budget), -budget)
        return delta if clip is None else torch.clamp(base + delta, *clip) - base

    delta = torch.zeros_like(base)
    if random_start:
        delta = project(budget * torch.empty_like(base).uniform_(-1, 1, generator=generator))
    for _ in range(steps):
        slope = input_gradient(model, base + delta, y, loss_fn)
        delta = project(delta + alpha * torch.sign(-slope if targeted else slope))
    return base + delta
