"""Targeted or not, the loss goes up.

exercise: fgsm
caught-by: fgsm_targeted
also-breaks: pgd, bug
told: targeted=True was ignored; the step must go down in the loss then
"""


def fgsm(model, x, y, eps, *, targeted=False, clip=(0.0, 1.0), loss_fn=F.cross_entropy):
    if (torch.as_tensor(eps) < 0).any():
        raise ValueError("eps must not be negative")
    direction = input_gradient(model, x, y, loss_fn).sign()
    adversarial = x.detach() + eps * direction
    return adversarial if clip is None else adversarial.clamp(*clip)
