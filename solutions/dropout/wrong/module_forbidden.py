"""A subclass of nn.Dropout.

exercise: module
caught-by: module_values
also-breaks: mlp
"""


class Dropout(nn.Dropout):
    def __init__(self, p=0.5, generator=None):
        super().__init__(p)
        self.generator = generator
