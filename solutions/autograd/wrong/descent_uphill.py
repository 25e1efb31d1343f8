"""The steps go along the gradient.

exercise: descent
caught-by: descent_parabola
told: the steps go uphill; x − lr · gradient goes down
"""

_right = gradient_descent


def gradient_descent(f, x0, lr, steps, momentum=0.0):
    return _right(f, x0, -lr, steps, momentum)
