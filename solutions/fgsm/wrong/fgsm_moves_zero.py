"""sign(0) is taken for 1.

exercise: fgsm
caught-by: fgsm_zero
also-breaks: bug
"""


def fgsm(model, x, y, eps, *, targeted=False, clip=(0.0, 1.0), loss_fn=F.cross_entropy):
    if (torch.as_tensor(eps) < 0).any():
        raise ValueError("eps must not be negative")
    direction = torch.where(input_gradient(model, x, y, loss_fn) >= 0, 1.0, -1.0).to(x.dtype)
    adversarial = x.detach() + (-eps if targeted else eps) * direction
    return adversarial if clip is None else adversarial.clamp(*clip)
