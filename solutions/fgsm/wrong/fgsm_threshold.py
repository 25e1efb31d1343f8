"""Tiny gradients are taken for zero.

exercise: fgsm
caught-by: fgsm_saturated
"""


def fgsm(model, x, y, eps, *, targeted=False, clip=(0.0, 1.0), loss_fn=F.cross_entropy):
    if (torch.as_tensor(eps) < 0).any():
        raise ValueError("eps must not be negative")
    slope = input_gradient(model, x, y, loss_fn)
    direction = slope.sign() * (slope.abs() > 1e-08)
    adversarial = x.detach() + (-eps if targeted else eps) * direction
    return adversarial if clip is None else adversarial.clamp(*clip)
