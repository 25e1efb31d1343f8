"""The dropout layers are in a plain list.

exercise: mlp
caught-by: mlp_values
"""


class DropoutMLP(nn.Module):
    def __init__(self, d_in, hidden, d_out, p):
        super().__init__()
        if len(hidden) != len(p):
            raise ValueError("p")
        widths = [d_in, *hidden, d_out]
        self.linear = nn.ModuleList(nn.Linear(m, n) for m, n in zip(widths, widths[1:]))
        self.drop = [Dropout(rate) for rate in p]

    def forward(self, x):
        for layer, drop in zip(self.linear, self.drop):
            x = drop(layer(x).relu())
        return self.linear[-1](x)
