"""One index too few: whole rows of a matrix are stepped together.

exercise: numerical_grad
caught-by: numerical_grad_values
"""


def numerical_grad(f, x, eps=1e-6):
    x = x.detach().double()
    gradient = torch.empty(x.shape, dtype=torch.float64)
    for i in range(len(x)):
        step = torch.zeros(x.shape, dtype=torch.float64)
        step[i] = eps
        gradient[i] = (f(x + step) - f(x - step)).item() / (2 * eps)
    return gradient
