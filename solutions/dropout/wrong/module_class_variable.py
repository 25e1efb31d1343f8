"""p belongs to the class: the last layer that is made decides for all.

exercise: module
caught-by: module_copies
also-breaks: mlp
"""


class Dropout(nn.Module):
    def __init__(self, p=0.5, generator=None):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError("p")
        self.generator = generator
        type(self).p = p

    def forward(self, x):
        return dropout(x, type(self).p, self.training, self.generator)
