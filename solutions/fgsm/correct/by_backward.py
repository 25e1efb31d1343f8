"""Gradients by backward(), on a copy of the model that nobody sees."""

import copy


def input_gradient(model, x, y, loss_fn=F.cross_entropy):
    double = copy.deepcopy(model).eval()
    double.requires_grad_(False)
    with torch.enable_grad():
        leaf = x.detach().clone()
        leaf.requires_grad = True
        loss_fn(double(leaf), y).backward()
    return leaf.grad


def fgsm(model, x, y, eps, *, targeted=False, clip=(0.0, 1.0), loss_fn=F.cross_entropy):
    if torch.is_tensor(eps):
        if bool((eps < 0).any()):
            raise ValueError("negative budget")
    elif eps < 0:
        raise ValueError("negative budget")
    g = torch.sign(input_gradient(model, x, y, loss_fn))
    if targeted:
        g = -g
    result = (x + eps * g).detach()
    if clip is not None:
        low, high = clip
        result = result.clamp(low, high)
    return result
