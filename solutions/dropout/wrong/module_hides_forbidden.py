"""A subclass of nn.Dropout with a forward of its own.

exercise: module
caught-by: module_state
"""


class Dropout(nn.Dropout):
    def __init__(self, p=0.5, generator=None):
        super().__init__(p)
        if not 0 <= p <= 1:
            raise ValueError("p")
        self.generator = generator

    def forward(self, x):
        return dropout(x, self.p, self.training, self.generator)
