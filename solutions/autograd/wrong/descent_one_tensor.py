"""The same tensor is noted again and again, and changed in place.

exercise: descent
caught-by: descent_parabola
told: all points of the trajectory are the same tensor, changed in place
"""


def gradient_descent(f, x0, lr, steps, momentum=0.0):
    x = x0.detach().clone()
    velocity = torch.zeros_like(x)
    trajectory = [x]
    for _ in range(steps):
        with torch.enable_grad():
            leaf = x.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(f(leaf), leaf)
        velocity = momentum * velocity + gradient
        x -= lr * velocity
        trajectory.append(x)
    return torch.stack(trajectory)
