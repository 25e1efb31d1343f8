"""f(x) is computed for each entry as well, and not used.

exercise: numerical_grad
caught-by: numerical_grad_alone
"""


def numerical_grad(f, x, eps=1e-6):
    x = x.detach().double()
    gradient = torch.empty(x.shape, dtype=torch.float64)
    for index in product(*map(range, x.shape)):
        step = torch.zeros(x.shape, dtype=torch.float64)
        step[index] = eps
        here = f(x).item()
        forwards = (f(x + step).item() - here) / eps
        backwards = (here - f(x - step).item()) / eps
        gradient[index] = (forwards + backwards) / 2
    return gradient
