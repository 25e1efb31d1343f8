"""i/d in the exponent.

exercise: positional
caught-by: positional_values
told: the exponent is i/d instead of 2i/d
"""


def positional_encoding(n, d, base=10000.0):
    even = torch.arange(0, d, 2, dtype=torch.float64)
    angles = torch.arange(n)[:, None] * base ** (-even / (2 * d))
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :d].float()
