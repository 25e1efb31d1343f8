"""The trajectory is prepared in the default dtype.

exercise: descent
caught-by: descent_parabola
"""

_right = gradient_descent


def gradient_descent(f, x0, lr, steps, momentum=0.0):
    trajectory = torch.zeros((steps + 1, *x0.shape))
    trajectory[:] = _right(f, x0, lr, steps, momentum)
    return trajectory
