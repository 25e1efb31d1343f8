"""Everything in small named steps, and a surrogate's loss by nn.KLDivLoss with log targets."""


def _at(model, modes=None):
    """Note the modes, or set them."""
    if modes is None:
        return [m.training for m in model.modules()]
    for m, mode in zip(model.modules(), modes, strict=True):
        m.training = mode
    return modes


def input_gradient(model, x, y, loss_fn=F.cross_entropy):
    previous = torch.is_grad_enabled()
    modes = _at(model)
    torch.set_grad_enabled(True)
    try:
        model.eval()
        leaf = torch.clone(x.detach())
        leaf.requires_grad_(True)
        out = loss_fn(model(leaf), y)
        return torch.autograd.grad(out, [leaf])[0]
    finally:
        _at(model, modes)
        torch.set_grad_enabled(previous)


def train_surrogate(victim_fn, surrogate, queries, *, epochs, lr, temperature, generator):
    log_p = (victim_fn(queries.detach()).detach() / temperature).log_softmax(-1)
    criterion = nn.KLDivLoss(reduction="sum", log_target=True)
    optimizer = torch.optim.Adam([p for p in surrogate.parameters() if p.requires_grad], lr)
    history = [0.0] * epochs
    surrogate.train()
    for epoch in range(epochs):
        order = torch.randperm(len(queries), generator=generator)
        for start in range(0, len(queries), 64):
            rows = order[start : start + 64]
            optimizer.zero_grad()
            loss = temperature**2 * criterion((surrogate(queries[rows]) / temperature).log_softmax(-1), log_p[rows])
            (loss / len(rows)).backward()
            optimizer.step()
            history[epoch] += loss.item() / len(queries)
    surrogate.train(False)
    return history


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
    eps = torch.as_tensor(eps, dtype=x.dtype).expand_as(x)
    if eps.lt(0).any() or alpha < 0 or steps < 0:
        raise ValueError("negative")
    home = x.detach()
    lower, upper = home - eps, home + eps
    if clip is not None:
        lower = lower.clamp(min=clip[0])
        upper = upper.clamp(max=clip[1])
    point = home.clone()
    if random_start:
        point = home - eps + 2 * eps * torch.rand(home.shape, generator=generator, dtype=home.dtype)
        point = point.clamp(lower, upper)
    for _ in range(steps):
        slope = input_gradient(model, point, y, loss_fn)
        with torch.no_grad():
            point = point + slope.sign().mul(-alpha if targeted else alpha)
            torch.clamp(point, lower, upper, out=point)
    return point
