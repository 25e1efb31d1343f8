"""Two dimensions at most.

exercise: numerical_grad
caught-by: numerical_grad_shapes
"""

_right = numerical_grad


def numerical_grad(f, x, eps=1e-6):
    if x.ndim <= 1:
        return _right(f, x, eps)
    x = x.detach().double()
    gradient = torch.empty(x.shape, dtype=torch.float64)
    rows, columns = x.shape
    for i in range(rows):
        for j in range(columns):
            step = torch.zeros(x.shape, dtype=torch.float64)
            step[i, j] = eps
            gradient[i, j] = (f(x + step) - f(x - step)).item() / (2 * eps)
    return gradient
