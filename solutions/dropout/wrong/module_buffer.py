"""The probability is saved with the weights.

exercise: module
caught-by: module_state
"""


class Dropout(nn.Module):
    def __init__(self, p=0.5, generator=None):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError("p")
        self.generator = generator
        self.p = p
        self.register_buffer("rate", torch.tensor(float(p)))

    def forward(self, x):
        return dropout(x, self.p, self.training, self.generator)
