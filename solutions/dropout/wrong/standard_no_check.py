"""A bad p is accepted.

exercise: standard
caught-by: standard_ends
"""


class StandardDropout(nn.Module):
    def __init__(self, p=0.5, generator=None):
        super().__init__()
        self.generator = generator
        self.p = p

    def forward(self, x):
        if not self.training:
            return x * (1 - self.p)
        keep = (torch.rand(x.shape, generator=self.generator) >= self.p).to(x.dtype)
        return x * keep
