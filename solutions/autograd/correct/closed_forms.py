"""The detached product without autograd, per-sample gradients by einsum, velocity in units of the step."""


def detached_product_grad(f, x):
    with torch.no_grad():
        return torch.zeros_like(x) + f(x)


def per_sample_grads(X, t, w, b):
    z = torch.einsum("nd,d->n", X, w).add(b)
    p = 1 / (1 + torch.exp(-z))
    delta = (p - t) * (p - p**2)
    return torch.einsum("n,nd->nd", delta, X), delta


def himmelblau(p):
    x, y = p[..., 0], p[..., 1]
    return torch.square(x * x + y - 11) + torch.square(x + y * y - 7)


def gradient_descent(f, x0, lr, steps, momentum=0.0):
    trajectory = torch.empty((steps + 1, *x0.shape), dtype=x0.dtype)
    trajectory[0] = x0.detach()
    change = torch.zeros(x0.shape, dtype=x0.dtype)
    for k in range(steps):
        leaf = trajectory[k].clone().requires_grad_(True)
        with torch.enable_grad():
            gradient = torch.autograd.grad(f(leaf), leaf)[0]
        change = momentum * change - lr * gradient
        trajectory[k + 1] = trajectory[k] + change
    return trajectory
