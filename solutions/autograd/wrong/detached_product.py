"""The product, not its gradient.

exercise: detached
caught-by: detached_values
told: the product itself was returned, not its gradient
"""


def detached_product_grad(f, x):
    return f(x).detach() * x.detach()
