"""All sines, then all cosines.

exercise: positional
caught-by: positional_values
told: all sines stand first, then all cosines; they take turns
"""


def positional_encoding(n, d, base=10000.0):
    even = torch.arange(0, d, 2, dtype=torch.float64)
    angles = torch.arange(n)[:, None] * base ** (-even / d)
    return torch.cat([angles.sin(), angles.cos()], dim=1)[:, :d].float()
