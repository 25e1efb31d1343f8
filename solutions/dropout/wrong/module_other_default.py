"""p is 0.1 by default.

exercise: module
caught-by: module_p
"""


class Dropout(nn.Module):
    def __init__(self, p=0.1, generator=None):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError("p")
        self.generator = generator
        self.p = p

    def forward(self, x):
        return dropout(x, self.p, self.training, self.generator)
