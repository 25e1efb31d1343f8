"""Divided by ε where the points lie 2ε apart.

exercise: numerical_grad
caught-by: numerical_grad_values
told: the two points lie 2ε apart, and the difference was divided by ε
"""


def numerical_grad(f, x, eps=1e-6):
    x = x.detach().double()
    gradient = torch.empty(x.shape, dtype=torch.float64)
    for index in product(*map(range, x.shape)):
        step = torch.zeros(x.shape, dtype=torch.float64)
        step[index] = eps
        gradient[index] = (f(x + step) - f(x - step)).item() / eps
    return gradient
