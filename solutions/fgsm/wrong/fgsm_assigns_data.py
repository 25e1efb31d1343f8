"""Assigns to .data, which is not allowed.

exercise: fgsm
caught-by: fgsm_values
also-breaks: training, bug
"""


def fgsm(model, x, y, eps, *, targeted=False, clip=(0.0, 1.0), loss_fn=F.cross_entropy):
    if (torch.as_tensor(eps) < 0).any():
        raise ValueError("eps must not be negative")
    direction = input_gradient(model, x, y, loss_fn).sign()
    adversarial = x.detach().clone()
    adversarial.data = adversarial + (-eps if targeted else eps) * direction
    return adversarial if clip is None else adversarial.clamp(*clip)
