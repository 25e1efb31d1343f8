"""A flag of its own that only its own eval() and train() without arguments set.

exercise: module
caught-by: module_nested, module_modes
also-breaks: mlp
"""


class Dropout(nn.Module):
    def __init__(self, p=0.5, generator=None):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError("p")
        self.generator = generator
        self.p = p
        self.on = True

    def forward(self, x):
        return dropout(x, self.p, self.on, self.generator)

    def eval(self):
        self.on = False
        return self

    def train(self, mode=True):
        self.on = True
        return self
