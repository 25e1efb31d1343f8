"""The trajectory hangs on the graph of x0.

exercise: descent
caught-by: descent_untouched
"""


def gradient_descent(f, x0, lr, steps, momentum=0.0):
    x = x0.clone()
    velocity = torch.zeros_like(x)
    trajectory = [x]
    for _ in range(steps):
        with torch.enable_grad():
            leaf = x.detach().clone().requires_grad_()
            (gradient,) = torch.autograd.grad(f(leaf), leaf)
        velocity = momentum * velocity + gradient
        x = x - lr * velocity
        trajectory.append(x)
    return torch.stack(trajectory)
