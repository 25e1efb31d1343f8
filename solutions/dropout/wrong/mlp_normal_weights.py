"""Standard normal weights instead of the usual initialisation.

exercise: mlp
caught-by: mlp_trains
"""


class DropoutMLP(nn.Module):
    def __init__(self, d_in, hidden, d_out, p):
        super().__init__()
        layers = []
        for width, rate in zip(hidden, p, strict=True):
            layers += [nn.Linear(d_in, width), nn.ReLU(), Dropout(rate)]
            d_in = width
        self.layers = nn.Sequential(*layers, nn.Linear(d_in, d_out))
        for parameter in self.parameters():
            nn.init.normal_(parameter)

    def forward(self, x):
        return self.layers(x)
