"""Recording is switched on, and off again, instead of as it was.

exercise: detached
caught-by: detached_values
"""


def detached_product_grad(f, x):
    torch.set_grad_enabled(True)
    leaf = x.detach().clone().requires_grad_()
    gradient = torch.autograd.grad((f(leaf).detach() * leaf).sum(), leaf)[0]
    torch.set_grad_enabled(False)
    return gradient
