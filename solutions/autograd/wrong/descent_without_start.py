"""The trajectory begins after the first step.

exercise: descent
caught-by: descent_parabola
told: the starting point is missing
"""

_right = gradient_descent


def gradient_descent(f, x0, lr, steps, momentum=0.0):
    return _right(f, x0, lr, steps, momentum)[1:]
