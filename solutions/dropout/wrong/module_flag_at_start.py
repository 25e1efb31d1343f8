"""The flag is read when the layer is made.

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
        self.on = self.training

    def forward(self, x):
        return dropout(x, self.p, self.on, self.generator)
