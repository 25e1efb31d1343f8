"""Scaled in training and in evaluation.

exercise: standard
caught-by: standard_values
"""


class StandardDropout(nn.Module):
    def __init__(self, p=0.5, generator=None):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError("p")
        self.generator = generator
        self.p = p

    def forward(self, x):
        return dropout(x, self.p, True, self.generator) if self.training else x * (1 - self.p)
