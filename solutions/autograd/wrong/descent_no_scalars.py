"""Points are joined by cat, which needs a dimension.

exercise: descent
caught-by: descent_start
"""

_right = gradient_descent


def gradient_descent(f, x0, lr, steps, momentum=0.0):
    return torch.cat([point.reshape(1, len(point), *point.shape[1:]) for point in _right(f, x0, lr, steps, momentum)])
