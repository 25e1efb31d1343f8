"""Draws and multiplies in float64, and gives back the dtype that came in; sums of powers for the standard deviation."""


def dropout(x, p=0.5, training=True, generator=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    if not training:
        return x
    keep = torch.rand(x.shape, generator=generator, dtype=torch.float32, device=x.device) >= p
    return (x.to(torch.promote_types(x.dtype, torch.float32)) * keep / (1 - p if p < 1 else 1)).to(x.dtype)


class Dropout(nn.Module):
    def __init__(self, p=0.5, generator=None):
        super().__init__()
        self.p = p
        self.generator = generator
        if not 0 <= p <= 1:
            raise ValueError("p")

    def forward(self, x):
        if not self.training or self.p == 0:
            return x
        keep = torch.rand(x.shape, generator=self.generator, dtype=torch.float64) >= self.p
        return (x.double() * keep / (1 - self.p if self.p < 1 else 1)).to(x.dtype)


class StandardDropout(Dropout):
    def forward(self, x):
        if not self.training:
            return (x.double() * (1 - self.p)).to(x.dtype)
        return x * (torch.rand(x.shape, generator=self.generator, dtype=torch.float64) >= self.p)


def mc_dropout_predict(model, x, n_samples):
    dropouts = {id(m) for m in model.modules() if isinstance(m, Dropout)}
    state = [m.training for m in model.modules()]
    grad = torch.is_grad_enabled()
    torch.set_grad_enabled(False)
    try:
        for m in model.modules():
            m.training = id(m) in dropouts
        ys = [model(x) for _ in range(n_samples)]
    finally:
        torch.set_grad_enabled(grad)
        for m, flag in zip(model.modules(), state):
            m.training = flag
    mean = sum(y.double() for y in ys) / n_samples
    variance = sum((y.double() - mean) ** 2 for y in ys) / n_samples
    return mean.to(ys[0].dtype), variance.sqrt().to(ys[0].dtype)
