"""f is called a second time in each step, to note its value.

exercise: descent
caught-by: descent_calls
"""


def gradient_descent(f, x0, lr, steps, momentum=0.0):
    x = x0.detach()
    velocity = torch.zeros_like(x)
    trajectory, values = [x], []
    for _ in range(steps):
        values.append(float(f(x)))
        with torch.enable_grad():
            leaf = x.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(f(leaf), leaf)
        velocity = momentum * velocity + gradient
        x = x - lr * velocity
        trajectory.append(x)
    return torch.stack(trajectory)
