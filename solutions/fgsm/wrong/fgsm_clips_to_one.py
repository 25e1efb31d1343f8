"""Clips to 0 … 1 whatever is asked for.

exercise: fgsm
caught-by: fgsm_clip
also-breaks: training, bug
told: the range 0 … 1 was used, whatever clip says
"""


def fgsm(model, x, y, eps, *, targeted=False, clip=(0.0, 1.0), loss_fn=F.cross_entropy):
    if (torch.as_tensor(eps) < 0).any():
        raise ValueError("eps must not be negative")
    direction = input_gradient(model, x, y, loss_fn).sign()
    adversarial = x.detach() + (-eps if targeted else eps) * direction
    return adversarial if clip is None else adversarial.clamp(0, 1)
