"""Masks by expand and flatten; a network whose forward spells out every step; folding with a state dict."""


def dropout2d(x, p=0.5, training=True, generator=None):
    if x.ndim != 4:
        raise ValueError("x")
    if not 0 <= p <= 1:
        raise ValueError("p")
    if not training:
        return x
    mask = dropout_mask((x.shape[0] * x.shape[1],), p, generator=generator, dtype=x.dtype, device=x.device)
    return x * mask.reshape(x.shape[0], x.shape[1], 1, 1).expand_as(x)


class DropoutMLP(nn.Module):
    def __init__(self, d_in, hidden, d_out, p):
        super().__init__()
        if len(tuple(p)) != len(tuple(hidden)):
            raise ValueError("lengths differ")
        self.depth = len(hidden)
        for j in range(self.depth):
            self.add_module(f"linear{j}", nn.Linear(hidden[j - 1] if j else d_in, hidden[j]))
            setattr(self, f"dropout{j}", Dropout(p[j]))
        self.output = nn.Linear(hidden[-1] if self.depth else d_in, d_out)

    def forward(self, x):
        for j in range(self.depth):
            x = getattr(self, f"linear{j}")(x)
            x = torch.maximum(x, torch.zeros_like(x))
            x = getattr(self, f"dropout{j}")(x)
        return self.output(x)


def fold_standard_dropout(linear, p):
    if not 0 <= p <= 1:
        raise ValueError("p")
    state = {name: value.clone() for name, value in linear.state_dict().items()}
    state["weight"] *= 1 - p
    folded = nn.utils.skip_init(
        nn.Linear, linear.in_features, linear.out_features, bias="bias" in state, dtype=linear.weight.dtype
    )
    folded.load_state_dict(state)
    return folded
