"""Layers of the older convention.

exercise: mlp
caught-by: mlp_values
"""


class DropoutMLP(nn.Module):
    def __init__(self, d_in, hidden, d_out, p):
        super().__init__()
        if len(hidden) != len(p):
            raise ValueError("p")
        layers = []
        for width, rate in zip(hidden, p):
            layers += [nn.Linear(d_in, width), nn.ReLU(), StandardDropout(rate)]
            d_in = width
        self.layers = nn.Sequential(*layers, nn.Linear(d_in, d_out))

    def forward(self, x):
        return self.layers(x)
