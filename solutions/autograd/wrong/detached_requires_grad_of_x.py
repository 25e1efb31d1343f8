"""x itself is made to require grad.

exercise: detached
caught-by: detached_values
"""


def detached_product_grad(f, x):
    x.requires_grad_()
    return torch.autograd.grad((f(x).detach() * x).sum(), x)[0]
