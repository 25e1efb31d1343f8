"""The older convention under the name of the new one.

exercise: module
caught-by: module_values
also-breaks: mlp
told: the survivors were not scaled; they are divided by 1 − p
"""


class Dropout(nn.Module):
    def __init__(self, p=0.5, generator=None):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError("p")
        self.generator = generator
        self.p = p

    def forward(self, x):
        if not self.training:
            return x * (1 - self.p)
        return x * (torch.rand(x.shape, generator=self.generator) >= self.p)
