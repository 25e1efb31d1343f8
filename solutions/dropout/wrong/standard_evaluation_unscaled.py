"""Evaluation is the identity.

exercise: standard
caught-by: standard_values
told: evaluation left x as it is; in this convention it multiplies by 1 − p
"""


class StandardDropout(nn.Module):
    def __init__(self, p=0.5, generator=None):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError("p")
        self.generator = generator
        self.p = p

    def forward(self, x):
        keep = (torch.rand(x.shape, generator=self.generator) >= self.p).to(x.dtype)
        return x * keep if self.training else x.clone()
