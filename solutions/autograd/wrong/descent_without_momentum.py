"""The momentum is ignored.

exercise: descent
caught-by: descent_momentum
told: the momentum was ignored
"""

_right = gradient_descent


def gradient_descent(f, x0, lr, steps, momentum=0.0):
    return _right(f, x0, lr, steps)
