"""f(x) as it is, which may be x.

exercise: detached
caught-by: detached_identity
"""


def detached_product_grad(f, x):
    y = f(x.detach()).detach()
    return y if y.shape == x.shape else y.expand(x.shape).clone()
