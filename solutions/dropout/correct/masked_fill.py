"""A boolean mask and masked_fill; modules that share a base class, and folding into a layer made on the meta device."""


def dropout(x, p=0.5, training=True, generator=None):
    if not 0.0 <= p <= 1.0:
        raise ValueError("p must be between 0 and 1")
    if training and p > 0:
        drop = torch.empty_like(x, dtype=torch.float64).uniform_(generator=generator).lt(p)
        x = x.masked_fill(drop, 0)
        return x.div(1 - p) if p < 1 else x
    return x.view_as(x)


class _Noise(nn.Module):
    def __init__(self, p=0.5, generator=None):
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise ValueError("p must be between 0 and 1")
        self.p, self.generator = p, generator

    def extra_repr(self):
        return f"p={self.p}"

    def keep(self, x):
        return torch.rand(x.shape, generator=self.generator, device=x.device) >= self.p


class Dropout(_Noise):
    def forward(self, x):
        if self.training:
            return dropout(x, p=self.p, generator=self.generator)
        return x


class StandardDropout(_Noise):
    def forward(self, x):
        return x.masked_fill(~self.keep(x), 0) if self.training else (1 - self.p) * x


def fold_standard_dropout(linear, p):
    if p < 0 or p > 1 or p != p:
        raise ValueError("p must be between 0 and 1")
    new = nn.Linear(linear.in_features, linear.out_features, bias=linear.bias is not None, device="meta")
    new.weight = nn.Parameter(linear.weight.detach() * (1 - p))
    if linear.bias is not None:
        new.bias = nn.Parameter(linear.bias.detach().clone())
    return new
