"""The first step is always taken.

exercise: descent
caught-by: descent_start
"""

_right = gradient_descent


def gradient_descent(f, x0, lr, steps, momentum=0.0):
    return _right(f, x0, lr, max(1, steps), momentum)
