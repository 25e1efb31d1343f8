"""backward for each sample on the parameters themselves; their .grad is lost.

exercise: per_sample
caught-by: per_sample_parameters, per_sample_operations
"""


def per_sample_grads(X, t, w, b):
    if not w.requires_grad:
        w, b = w.clone().requires_grad_(), b.clone().requires_grad_()
    b = b if b.requires_grad else b.clone().requires_grad_()
    gw, gb = [], []
    with torch.enable_grad():
        for x, target in zip(X.detach(), t.detach()):
            w.grad = b.grad = None
            (0.5 * (torch.sigmoid(x @ w + b) - target) ** 2).backward()
            gw.append(w.grad)
            gb.append(b.grad)
    w.grad = b.grad = None
    return torch.stack(gw), torch.stack(gb)
