"""For no steps, the result is a view of x0.

exercise: descent
caught-by: descent_start
"""

_right = gradient_descent


def gradient_descent(f, x0, lr, steps, momentum=0.0):
    if steps == 0:
        return x0.detach().unsqueeze(0)
    return _right(f, x0, lr, steps, momentum)
