"""The flag is not looked at.

exercise: module
caught-by: module_values
also-breaks: mlp
"""


class Dropout(nn.Module):
    def __init__(self, p=0.5, generator=None):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError("p")
        self.generator = generator
        self.p = p

    def forward(self, x):
        return dropout(x, self.p, True, self.generator)
