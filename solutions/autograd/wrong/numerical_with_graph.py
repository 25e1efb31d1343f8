"""The differences are stored as tensors, with everything that they hang on.

exercise: numerical_grad
caught-by: numerical_grad_alone
"""


def numerical_grad(f, x, eps=1e-6):
    x = x.detach().double()
    gradient = torch.empty(x.shape, dtype=torch.float64)
    for index in product(*map(range, x.shape)):
        step = torch.zeros(x.shape, dtype=torch.float64)
        step[index] = eps
        gradient[index] = (f(x + step) - f(x - step)) / (2 * eps)
    return gradient
