"""The layers are in a plain list.

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
            layers += [nn.Linear(d_in, width), nn.ReLU(), Dropout(rate)]
            d_in = width
        self.layers = [*layers, nn.Linear(d_in, d_out)]

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x
