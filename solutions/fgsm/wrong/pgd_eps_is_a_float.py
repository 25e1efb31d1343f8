"""A tensor of budgets is turned into its largest one.

exercise: pgd
caught-by: pgd_ball
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
    eps = float(torch.as_tensor(eps).max())
    start = x.detach()
    low, high = (start - eps, start + eps)
    if clip is not None:
        low, high = (low.clamp(min=clip[0]), high.clamp(max=clip[1]))
    adversarial = start.clone()
    if random_start:
        unit = torch.rand(x.shape, generator=generator, dtype=x.dtype, device=x.device)
        adversarial = (start + eps * (2 * unit - 1)).clamp(low, high)
    for _ in range(steps):
        direction = input_gradient(model, adversarial, y, loss_fn).sign()
        adversarial = (adversarial + (-alpha if targeted else alpha) * direction).clamp(low, high)
    return adversarial
