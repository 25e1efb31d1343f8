"""torch.func for the samples, torch.optim.SGD for the descent, backward on a leaf of one's own."""


def detached_product_grad(f, x):
    constant = f(x.detach()).detach().clone()
    leaf = torch.nn.Parameter(x.detach().clone())
    with torch.enable_grad():
        (constant * leaf).sum().backward()
    return leaf.grad


def per_sample_grads(X, t, w, b):
    def loss(w, b, x, target):
        return 0.5 * (torch.sigmoid(x @ w + b) - target) ** 2

    gradients = torch.func.grad(loss, argnums=(0, 1))
    return torch.func.vmap(gradients, in_dims=(None, None, 0, 0))(w.detach(), b.detach(), X.detach(), t)


def gradient_descent(f, x0, lr, steps, momentum=0.0):
    point = torch.nn.Parameter(x0.detach().clone())
    optimizer = torch.optim.SGD([point], lr=lr, momentum=momentum)
    points = [point.detach().clone()]
    for _ in range(steps):
        with torch.enable_grad():
            point.grad = torch.autograd.grad(f(point), point)[0]
        optimizer.step()
        points.append(point.detach().clone())
    return torch.stack(points)
