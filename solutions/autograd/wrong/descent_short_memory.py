"""Only the last gradient is remembered.

exercise: descent
caught-by: descent_momentum
told: only the gradient of the step before was remembered, not a fading sum
"""


def gradient_descent(f, x0, lr, steps, momentum=0.0):
    x = x0.detach()
    last = torch.zeros_like(x)
    trajectory = [x]
    for _ in range(steps):
        with torch.enable_grad():
            leaf = x.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(f(leaf), leaf)
        x = x - lr * (gradient + momentum * last)
        last = gradient
        trajectory.append(x)
    return torch.stack(trajectory)
