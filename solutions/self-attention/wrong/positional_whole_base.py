"""The base must be whole.

exercise: positional
caught-by: positional_base
"""


def positional_encoding(n, d, base=10000.0):
    even = torch.arange(0, d, 2, dtype=torch.float64)
    angles = torch.arange(n)[:, None] * int(base) ** (-even / d)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :d].float()
