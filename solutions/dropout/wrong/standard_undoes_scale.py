"""Training divides and multiplies again: nan for p = 1.

exercise: standard
caught-by: standard_ends
"""


class StandardDropout(nn.Module):
    def __init__(self, p=0.5, generator=None):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError("p")
        self.generator = generator
        self.p = p

    def forward(self, x):
        if not self.training:
            return x * (1 - self.p)
        keep = (torch.rand(x.shape, generator=self.generator) >= self.p).to(x.dtype)
        return x * (keep / (1 - self.p)) * (1 - self.p)
