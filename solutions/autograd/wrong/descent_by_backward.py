"""backward fills the .grad of everything that f uses.

exercise: descent
caught-by: descent_untouched
"""


def gradient_descent(f, x0, lr, steps, momentum=0.0):
    x = x0.detach()
    velocity = torch.zeros_like(x)
    trajectory = [x]
    for _ in range(steps):
        with torch.enable_grad():
            leaf = x.clone().requires_grad_()
            f(leaf).backward()
        velocity = momentum * velocity + leaf.grad
        x = x - lr * velocity
        trajectory.append(x)
    return torch.stack(trajectory)
