"""The step is added to x itself, and never quite taken back.

exercise: numerical_grad
caught-by: numerical_grad_values
"""


def numerical_grad(f, x, eps=1e-6):
    gradient = torch.empty(x.shape, dtype=torch.float64)
    with torch.no_grad():
        for index in product(*map(range, x.shape)):
            x[index] += eps
            above = f(x.double()).item()
            x[index] -= 2 * eps
            below = f(x.double()).item()
            x[index] += eps
            gradient[index] = (above - below) / (2 * eps)
    return gradient
