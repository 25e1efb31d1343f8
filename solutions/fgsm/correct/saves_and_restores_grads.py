"""backward() on the model itself, with everything put back afterwards."""


class _Quiet:
    def __init__(self, model):
        self.model = model

    def __enter__(self):
        self.flags = {module: module.training for module in self.model.modules()}
        self.old = {p: (p.grad, p.requires_grad) for p in self.model.parameters()}
        for p in self.model.parameters():
            p.grad = None
        self.model.eval()

    def __exit__(self, *exc):
        for module, flag in self.flags.items():
            module.training = flag
        for p, (grad, flag) in self.old.items():
            p.grad = grad
            p.requires_grad_(flag)


def input_gradient(model, x, y, loss_fn=F.cross_entropy):
    with _Quiet(model), torch.set_grad_enabled(True):
        probe = torch.empty_like(x, memory_format=torch.contiguous_format)
        probe.copy_(x.detach())
        probe.requires_grad_()
        loss_fn(model(probe), y).backward()
        return probe.grad


def robust_accuracy(model, x, y, attack=None, batch_size=256):
    hits = []
    with _Quiet(model):
        for i in range(0, x.shape[0], batch_size):
            xb, yb = x[i : i + batch_size], y[i : i + batch_size]
            if attack:
                xb = attack(model, xb, yb)
            prediction = model(xb).detach().max(dim=1).indices
            hits += (prediction == yb).tolist()
    return sum(hits) / len(hits)
