"""backward through f(x) as well, whose part is then taken away from the leaf only.

exercise: detached
caught-by: detached_untouched
"""


def detached_product_grad(f, x):
    with torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        y = f(leaf)
        if y.requires_grad:
            (y.sum() * 0).backward()
            leaf.grad = None
        (y.detach() * leaf).sum().backward()
    return leaf.grad
