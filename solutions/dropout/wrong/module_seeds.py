"""Every call starts from the same seed.

exercise: module
caught-by: module_generator
"""


class Dropout(nn.Module):
    def __init__(self, p=0.5, generator=None):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError("p")
        self.generator = generator
        self.p = p

    def forward(self, x):
        if self.generator is not None:
            self.generator.manual_seed(0)
        return dropout(x, self.p, self.training, self.generator)
