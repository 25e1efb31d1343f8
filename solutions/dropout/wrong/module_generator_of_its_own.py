"""Without a generator, each layer makes one with a fixed seed.

exercise: module
caught-by: module_generator
also-breaks: mlp
"""


class Dropout(nn.Module):
    def __init__(self, p=0.5, generator=None):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError("p")
        self.generator = generator
        self.p = p
        self.generator = torch.Generator().manual_seed(0) if generator is None else generator

    def forward(self, x):
        return dropout(x, self.p, self.training, self.generator)
