"""p is a parameter of the model.

exercise: module
caught-by: module_state
also-breaks: mlp
"""


class Dropout(nn.Module):
    def __init__(self, p=0.5, generator=None):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError("p")
        self.generator = generator
        self.rate = nn.Parameter(torch.tensor(float(p), dtype=torch.float64))

    def forward(self, x):
        return dropout(x, float(self.rate), self.training, self.generator)

    @property
    def p(self):
        return round(float(self.rate), 6)

    @p.setter
    def p(self, value):
        self.rate.data.fill_(value)
