"""The point after the last step is not noted.

exercise: descent
caught-by: descent_parabola
told: the last point is missing
"""

_right = gradient_descent


def gradient_descent(f, x0, lr, steps, momentum=0.0):
    return _right(f, x0, lr, steps, momentum)[:-1]
