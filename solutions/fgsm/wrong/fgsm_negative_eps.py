"""A negative eps is accepted.

exercise: fgsm
caught-by: fgsm_errors
"""


def fgsm(model, x, y, eps, *, targeted=False, clip=(0.0, 1.0), loss_fn=F.cross_entropy):
    direction = input_gradient(model, x, y, loss_fn).sign()
    adversarial = x.detach() + (-eps if targeted else eps) * direction
    return adversarial if clip is None else adversarial.clamp(*clip)
