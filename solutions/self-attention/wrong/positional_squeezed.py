"""A single position or column loses its dimension.

exercise: positional
caught-by: positional_sizes
"""


def positional_encoding(n, d, base=10000.0):
    even = torch.arange(0, d, 2, dtype=torch.float64)
    angles = torch.arange(n)[:, None] * base ** (-even / d)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :d].float().squeeze()
