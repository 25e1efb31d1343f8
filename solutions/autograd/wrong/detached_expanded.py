"""A copy of f(x), expanded: its entries share memory with one another.

exercise: detached
caught-by: detached_identity
"""


def detached_product_grad(f, x):
    return f(x.detach()).detach().clone().expand(x.shape)
