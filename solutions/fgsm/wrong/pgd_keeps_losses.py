"""The losses of all steps are kept, with their graphs.

exercise: pgd
caught-by: pgd_memory
"""


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
    if min(alpha, steps) < 0 or (torch.as_tensor(eps) < 0).any():
        raise ValueError("eps, alpha and steps must not be negative")
    start = x.detach()
    low, high = (start - eps, start + eps)
    if clip is not None:
        low, high = (low.clamp(min=clip[0]), high.clamp(max=clip[1]))
    adversarial = start.clone()
    if random_start:
        unit = torch.rand(x.shape, generator=generator, dtype=x.dtype, device=x.device)
        adversarial = (start + eps * (2 * unit - 1)).clamp(low, high)
    losses = []
    flags = [(module, module.training) for module in model.modules()]
    model.eval()
    for _ in range(steps):
        with torch.enable_grad():
            leaf = adversarial.detach().requires_grad_()
            losses.append(loss_fn(model(leaf), y))
        direction = torch.autograd.grad(losses[-1], leaf, retain_graph=True)[0].sign()
        adversarial = (adversarial + (-alpha if targeted else alpha) * direction).clamp(low, high)
    for module, training in flags:
        module.training = training
    return adversarial
