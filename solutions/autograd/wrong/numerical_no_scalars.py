"""len() of a tensor without dimensions.

exercise: numerical_grad
caught-by: numerical_grad_shapes
"""

_right = numerical_grad


def numerical_grad(f, x, eps=1e-6):
    if not len(x):
        return x.double()
    return _right(f, x, eps)
