"""It stops when the steps get small, long before it has arrived.

exercise: descent
caught-by: descent_valleys
"""

_right = gradient_descent


def gradient_descent(f, x0, lr, steps, momentum=0.0):
    done = 6
    start = _right(f, x0, lr, min(steps, done), momentum)
    return torch.cat([start, start[-1:].expand(max(0, steps - done), *x0.shape)])
