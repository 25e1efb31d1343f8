"""The mean is differentiated.

exercise: detached
caught-by: detached_values
told: the mean was differentiated where the sum is due
"""


def detached_product_grad(f, x):
    with torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        return torch.autograd.grad((f(leaf).detach() * leaf).mean(), leaf)[0]
