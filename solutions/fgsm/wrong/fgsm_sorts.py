"""The gradient sorted and put back, four hundred times: no pass of the model too many, and far too slow.

exercise: fgsm
caught-by: fgsm_cost
"""


def fgsm(model, x, y, eps, *, targeted=False, clip=(0.0, 1.0), loss_fn=F.cross_entropy):
    if (torch.as_tensor(eps) < 0).any():
        raise ValueError("eps must not be negative")
    gradient = input_gradient(model, x, y, loss_fn)
    for _ in range(400):
        values, places = gradient.flatten().sort()
        gradient = torch.empty_like(values).scatter_(0, places, values).view(x.shape)
    moved = x.detach() + (-eps if targeted else eps) * gradient.sign()
    return moved if clip is None else moved.clamp(*clip)
