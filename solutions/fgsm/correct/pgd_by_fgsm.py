"""PGD as repeated FGSM, with the projection by minimum and maximum."""


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
    if steps < 0:
        raise ValueError("steps")
    if alpha < 0:
        raise ValueError("alpha")
    if (torch.as_tensor(eps) < 0).any():
        raise ValueError("eps")
    original = x.detach().clone()
    point = original
    if random_start:
        shift = torch.rand(original.size(), generator=generator).to(original.dtype)
        point = original + (2 * shift - 1) * eps
        if clip is not None:
            point = point.clamp(clip[0], clip[1])
    k = 0
    while k < steps:
        point = fgsm(model, point, y, alpha, targeted=targeted, clip=clip, loss_fn=loss_fn)
        point = torch.min(torch.max(point, original - eps), original + eps)
        k += 1
    return point.clone()
