"""The step is added in the dtype of x, where it is lost.

exercise: numerical_grad
caught-by: numerical_grad_precision
"""


def numerical_grad(f, x, eps=1e-6):
    x = x.detach()
    gradient = torch.empty(x.shape, dtype=torch.float64)
    for index in product(*map(range, x.shape)):
        step = torch.zeros(x.shape, dtype=x.dtype)
        step[index] = eps
        gradient[index] = (f((x + step).double()) - f((x - step).double())).item() / (2 * eps)
    return gradient
