"""A loop over the samples.

exercise: per_sample
caught-by: per_sample_operations
"""


def per_sample_grads(X, t, w, b):
    w, b = w.detach().clone().requires_grad_(), b.detach().clone().requires_grad_()
    gw, gb = [], []
    with torch.enable_grad():
        for x, target in zip(X.detach(), t.detach()):
            loss = 0.5 * (torch.sigmoid(x @ w + b) - target) ** 2
            one, other = torch.autograd.grad(loss, (w, b))
            gw.append(one)
            gb.append(other)
    return torch.stack(gw), torch.stack(gb)
