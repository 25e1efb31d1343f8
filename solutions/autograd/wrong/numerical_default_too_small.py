"""The default step is so small that rounding eats the digits.

exercise: numerical_grad
caught-by: numerical_grad_central
"""

_right = numerical_grad


def numerical_grad(f, x, eps=1e-9):
    return _right(f, x, eps)
