"""The gradient is taken ahead of the point.

exercise: descent
caught-by: descent_momentum
told: the gradient was taken ahead of the point, as Nesterov does
"""


def gradient_descent(f, x0, lr, steps, momentum=0.0):
    x = x0.detach()
    velocity = torch.zeros_like(x)
    trajectory = [x]
    for _ in range(steps):
        with torch.enable_grad():
            leaf = (x - lr * momentum * velocity).clone().requires_grad_()
            (gradient,) = torch.autograd.grad(f(leaf), leaf)
        velocity = momentum * velocity + gradient
        x = x - lr * velocity
        trajectory.append(x)
    return torch.stack(trajectory)
