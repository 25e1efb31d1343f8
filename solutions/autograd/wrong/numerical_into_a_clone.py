"""clone() keeps the order in memory of x.t(), and view(-1) does not take it.

exercise: numerical_grad
caught-by: numerical_grad_shapes
"""


def numerical_grad(f, x, eps=1e-6):
    point = x.detach().double().clone()
    flat = point.view(-1)
    gradient = torch.empty(x.numel(), dtype=torch.float64)
    for i in range(x.numel()):
        here = flat[i].item()
        flat[i] = here + eps
        above = f(point).item()
        flat[i] = here - eps
        below = f(point).item()
        flat[i] = here
        gradient[i] = (above - below) / (2 * eps)
    return gradient.view(x.shape)
