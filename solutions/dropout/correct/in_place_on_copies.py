"""In-place operators on copies and fresh tensors; a network of lists of modules."""


def dropout_mask(shape, p, *, generator=None, dtype=torch.float32, device=None):
    if not 0 <= p <= 1:
        raise ValueError(f"{p} is no probability")
    mask = torch.ones(shape, dtype=dtype, device=device)
    mask[torch.rand(shape, generator=generator, device=device) < p] = 0
    if 0 < p < 1:
        mask /= 1 - p
    return mask


def dropout(x, p=0.5, training=True, generator=None):
    mask = dropout_mask(x.shape, p, generator=generator, dtype=x.dtype) if training or not 0 <= p <= 1 else None
    y = x.clone()
    if training:
        y *= mask
    return y


def dropout2d(x, p=0.5, training=True, generator=None):
    if x.ndim != 4:
        raise ValueError("x must have four dimensions")
    if not 0 <= p <= 1:
        raise ValueError(f"{p} is no probability")
    y = x.clone()
    if training:
        y *= dropout_mask((len(x), x.shape[1]), p, generator=generator, dtype=x.dtype).unsqueeze(-1).unsqueeze(-1)
    return y


class DropoutMLP(nn.Module):
    def __init__(self, d_in, hidden, d_out, p):
        super().__init__()
        if len(hidden) != len(p):
            raise ValueError("one probability for each hidden layer")
        widths = [d_in, *hidden, d_out]
        self.linear = nn.ModuleList(nn.Linear(m, n) for m, n in zip(widths, widths[1:]))
        self.drop = nn.ModuleList(Dropout(q) for q in p)

    def forward(self, x):
        for layer, drop in zip(self.linear, self.drop):
            x = drop(layer(x).relu_())
        return self.linear[-1](x)
