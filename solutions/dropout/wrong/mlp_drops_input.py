"""Dropout in front of each hidden layer.

exercise: mlp
caught-by: mlp_rates, mlp_noise
told: the dropout came before the layer, not after its activation
"""


class DropoutMLP(nn.Module):
    def __init__(self, d_in, hidden, d_out, p):
        super().__init__()
        if len(hidden) != len(p):
            raise ValueError("p")
        layers = []
        for width, rate in zip(hidden, p):
            layers += [Dropout(rate), nn.Linear(d_in, width), nn.ReLU()]
            d_in = width
        self.layers = nn.Sequential(*layers, nn.Linear(d_in, d_out))

    def forward(self, x):
        return self.layers(x)
