"""The shape of f(x), not of x.

exercise: detached
caught-by: detached_broadcasting
"""


def detached_product_grad(f, x):
    return f(x).detach().clone()
