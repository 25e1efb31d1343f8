"""At least one hidden layer is taken for granted.

exercise: mlp
caught-by: mlp_depths
"""


class DropoutMLP(nn.Module):
    def __init__(self, d_in, hidden, d_out, p):
        super().__init__()
        if len(hidden) != len(p):
            raise ValueError("p")
        layers = [nn.Linear(d_in, hidden[0]), nn.ReLU(), Dropout(p[0])]
        for m, n, rate in zip(hidden, hidden[1:], p[1:]):
            layers += [nn.Linear(m, n), nn.ReLU(), Dropout(rate)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden[-1], d_out))

    def forward(self, x):
        return self.layers(x)
