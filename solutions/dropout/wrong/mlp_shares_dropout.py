"""One dropout layer for all hidden layers.

exercise: mlp
caught-by: mlp_rates, mlp_modules
"""


class DropoutMLP(nn.Module):
    def __init__(self, d_in, hidden, d_out, p):
        super().__init__()
        if len(hidden) != len(p):
            raise ValueError("p")
        drop = Dropout(p[0]) if p else nn.Identity()
        [Dropout(rate) for rate in p]
        layers = []
        for width, rate in zip(hidden, p):
            layers += [nn.Linear(d_in, width), nn.ReLU(), drop]
            d_in = width
        self.layers = nn.Sequential(*layers, nn.Linear(d_in, d_out))

    def forward(self, x):
        return self.layers(x)
