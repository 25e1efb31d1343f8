"""The new convention under the name of the old one.

exercise: standard
caught-by: standard_values
told: the survivors were scaled in training; in this convention evaluation does it
"""


class StandardDropout(nn.Module):
    def __init__(self, p=0.5, generator=None):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError("p")
        self.generator = generator
        self.p = p

    def forward(self, x):
        return dropout(x, self.p, self.training, self.generator)
