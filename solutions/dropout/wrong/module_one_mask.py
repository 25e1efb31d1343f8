"""The mask is drawn once and kept.

exercise: module
caught-by: module_nested, module_generator
also-breaks: mlp
"""


class Dropout(nn.Module):
    def __init__(self, p=0.5, generator=None):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError("p")
        self.generator = generator
        self.p = p
        self.mask = None

    def forward(self, x):
        if not self.training:
            return x
        if self.mask is None or self.mask.shape != x.shape:
            self.mask = dropout_mask(x.shape, self.p, generator=self.generator, dtype=x.dtype)
        return x * self.mask
