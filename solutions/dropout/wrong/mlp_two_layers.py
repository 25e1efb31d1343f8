"""The activation is left out in the last hidden layer of deep networks.

exercise: mlp
caught-by: mlp_depths
"""


class DropoutMLP(nn.Module):
    def __init__(self, d_in, hidden, d_out, p):
        super().__init__()
        if len(hidden) != len(p):
            raise ValueError("p")
        layers = []
        for j, (width, rate) in enumerate(zip(hidden, p)):
            layers += [nn.Linear(d_in, width), nn.ReLU() if j < 2 else nn.Identity(), Dropout(rate)]
            d_in = width
        self.layers = nn.Sequential(*layers, nn.Linear(d_in, d_out))

    def forward(self, x):
        return self.layers(x)
