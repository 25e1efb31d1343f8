"""The result is f(x), with its graph.

exercise: detached
caught-by: detached_untouched
"""


def detached_product_grad(f, x):
    return f(x).expand(x.shape) * torch.ones_like(x)
