"""One sample at a time.

exercise: fgsm
caught-by: fgsm_cost
also-breaks: training
"""


def fgsm(model, x, y, eps, *, targeted=False, clip=(0.0, 1.0), loss_fn=F.cross_entropy):
    if (torch.as_tensor(eps) < 0).any():
        raise ValueError("eps must not be negative")
    direction = torch.cat([input_gradient(model, x[i : i + 1], y[i : i + 1], loss_fn) for i in range(len(x))]).sign()
    adversarial = x.detach() + (-eps if targeted else eps) * direction
    return adversarial if clip is None else adversarial.clamp(*clip)
