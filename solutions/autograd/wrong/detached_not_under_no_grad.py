"""Recording is not switched on.

exercise: detached
caught-by: detached_no_grad
"""


def detached_product_grad(f, x):
    leaf = x.detach().clone().requires_grad_()
    return torch.autograd.grad((f(leaf).detach() * leaf).sum(), leaf)[0]
