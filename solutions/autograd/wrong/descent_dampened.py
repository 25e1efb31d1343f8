"""The gradient is multiplied by 1 − μ.

exercise: descent
caught-by: descent_momentum
told: the gradient was multiplied by 1 − μ
"""


def gradient_descent(f, x0, lr, steps, momentum=0.0):
    x = x0.detach()
    velocity = torch.zeros_like(x)
    trajectory = [x]
    for _ in range(steps):
        with torch.enable_grad():
            leaf = x.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(f(leaf), leaf)
        velocity = momentum * velocity + (1 - momentum) * gradient
        x = x - lr * velocity
        trajectory.append(x)
    return torch.stack(trajectory)
