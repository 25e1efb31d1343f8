"""All entries are stepped together.

exercise: numerical_grad
caught-by: numerical_grad_values
told: all entries were stepped at once; each needs a step of its own
"""


def numerical_grad(f, x, eps=1e-6):
    x = x.detach().double()
    slope = (f(x + eps) - f(x - eps)).item() / (2 * eps)
    return torch.full(x.shape, slope, dtype=torch.float64)
