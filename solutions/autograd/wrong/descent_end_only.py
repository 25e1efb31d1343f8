"""The last point only.

exercise: descent
caught-by: descent_parabola
told: only the last point was returned
"""

_right = gradient_descent


def gradient_descent(f, x0, lr, steps, momentum=0.0):
    return _right(f, x0, lr, steps, momentum)[-1]
