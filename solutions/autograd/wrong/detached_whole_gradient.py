"""The product rule, with f(x) differentiated as well.

exercise: detached
caught-by: detached_values
told: f(x) was differentiated too; it is a constant here
"""


def detached_product_grad(f, x):
    with torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        return torch.autograd.grad((f(leaf) * leaf).sum(), leaf)[0]
