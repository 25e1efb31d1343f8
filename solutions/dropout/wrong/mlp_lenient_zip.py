"""Superfluous widths or probabilities are left out.

exercise: mlp
caught-by: mlp_bad_arguments
"""


class DropoutMLP(nn.Module):
    def __init__(self, d_in, hidden, d_out, p):
        super().__init__()
        layers = []
        for width, rate in zip(hidden, p):
            layers += [nn.Linear(d_in, width), nn.ReLU(), Dropout(rate)]
            d_in = width
        self.layers = nn.Sequential(*layers, nn.Linear(d_in, d_out))

    def forward(self, x):
        return self.layers(x)
