"""float64 inside, but the result goes back to the dtype of x.

exercise: numerical_grad
caught-by: numerical_grad_precision
"""

_right = numerical_grad


def numerical_grad(f, x, eps=1e-6):
    return _right(f, x, eps).to(x.dtype)
