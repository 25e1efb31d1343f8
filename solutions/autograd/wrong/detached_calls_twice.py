"""f is called twice.

exercise: detached
caught-by: detached_untouched
"""


def detached_product_grad(f, x):
    shape = f(x.detach()).shape
    with torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        return torch.autograd.grad((f(leaf).detach().expand(shape) * leaf).sum(), leaf)[0]
