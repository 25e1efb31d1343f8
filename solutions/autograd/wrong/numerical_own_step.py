"""The argument eps is ignored.

exercise: numerical_grad
caught-by: numerical_grad_central
told: the argument eps was ignored
"""


def numerical_grad(f, x, eps=1e-6):
    eps = 1e-6
    x = x.detach().double()
    gradient = torch.empty(x.shape, dtype=torch.float64)
    for index in product(*map(range, x.shape)):
        step = torch.zeros(x.shape, dtype=torch.float64)
        step[index] = eps
        gradient[index] = (f(x + step) - f(x - step)).item() / (2 * eps)
    return gradient
