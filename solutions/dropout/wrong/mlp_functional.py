"""No dropout layers, only calls of the function.

exercise: mlp
caught-by: mlp_modules
"""


class DropoutMLP(nn.Module):
    def __init__(self, d_in, hidden, d_out, p):
        super().__init__()
        if len(hidden) != len(p):
            raise ValueError("p")
        widths = [d_in, *hidden, d_out]
        self.linear = nn.ModuleList(nn.Linear(m, n) for m, n in zip(widths, widths[1:]))
        [Dropout(rate) for rate in p]
        self.p = p

    def forward(self, x):
        for layer, rate in zip(self.linear, self.p):
            x = dropout(layer(x).relu(), rate, self.training)
        return self.linear[-1](x)
