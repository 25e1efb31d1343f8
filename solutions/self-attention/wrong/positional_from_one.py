"""Positions count from 1.

exercise: positional
caught-by: positional_values
told: positions were counted from 1; the first is 0
"""


def positional_encoding(n, d, base=10000.0):
    even = torch.arange(0, d, 2, dtype=torch.float64)
    angles = torch.arange(1, n + 1)[:, None] * base ** (-even / d)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :d].float()
