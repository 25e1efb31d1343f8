"""Entries are kept with probability p.

exercise: standard
caught-by: standard_statistics
told: p was taken for the probability of keeping; it is that of dropping
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
        keep = (torch.rand(x.shape, generator=self.generator) < self.p).to(x.dtype)
        return x * keep
