"""Points of more than one dimension are flattened.

exercise: descent
caught-by: descent_start, descent_valleys
"""

_right = gradient_descent


def gradient_descent(f, x0, lr, steps, momentum=0.0):
    return _right(f, x0, lr, steps, momentum).reshape(steps + 1, -1)
