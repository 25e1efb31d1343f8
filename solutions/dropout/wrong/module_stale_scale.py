"""The scale is computed once, when the layer is made.

exercise: module
caught-by: module_p
"""


class Dropout(nn.Module):
    def __init__(self, p=0.5, generator=None):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError("p")
        self.generator = generator
        self.p = p
        self.scale = 1 / (1 - p) if p < 1 else 0.0

    def forward(self, x):
        if not self.training:
            return x
        return x * (torch.rand(x.shape, generator=self.generator) >= self.p) * self.scale
