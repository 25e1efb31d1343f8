"""A bad p is noticed in the first call.

exercise: module
caught-by: module_bad_p
also-breaks: mlp
"""


class Dropout(nn.Module):
    def __init__(self, p=0.5, generator=None):
        super().__init__()
        self.generator = generator
        self.p = p

    def forward(self, x):
        return dropout(x, self.p, self.training, self.generator)
