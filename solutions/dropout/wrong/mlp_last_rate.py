"""All layers use the last probability.

exercise: mlp
caught-by: mlp_rates
told: the last probability was used in all layers
"""


class DropoutMLP(nn.Module):
    def __init__(self, d_in, hidden, d_out, p):
        super().__init__()
        if len(hidden) != len(p):
            raise ValueError("p")
        layers = []
        for width, rate in zip(hidden, p):
            layers += [nn.Linear(d_in, width), nn.ReLU(), Dropout(p[-1])]
            d_in = width
        self.layers = nn.Sequential(*layers, nn.Linear(d_in, d_out))
        [Dropout(rate) for rate in p]

    def forward(self, x):
        return self.layers(x)
