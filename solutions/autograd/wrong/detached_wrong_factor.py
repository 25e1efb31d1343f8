"""x is detached instead of f(x).

exercise: detached
caught-by: detached_values
told: the wrong factor was detached
"""


def detached_product_grad(f, x):
    with torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        return torch.autograd.grad((f(leaf) * leaf.detach()).sum(), leaf)[0]
