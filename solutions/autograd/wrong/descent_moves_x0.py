"""The start itself is moved.

exercise: descent
caught-by: descent_parabola
"""


def gradient_descent(f, x0, lr, steps, momentum=0.0):
    x = x0.detach()
    velocity = torch.zeros_like(x)
    trajectory = [x.clone()]
    for _ in range(steps):
        with torch.enable_grad():
            leaf = x.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(f(leaf), leaf)
        velocity = momentum * velocity + gradient
        x -= lr * velocity
        trajectory.append(x.clone())
    return torch.stack(trajectory)
