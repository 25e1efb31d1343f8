"""Odd d is rounded up in the exponent.

exercise: positional
caught-by: positional_odd
told: d was rounded up to an even number in the exponent
"""


def positional_encoding(n, d, base=10000.0):
    even = torch.arange(0, d, 2, dtype=torch.float64)
    angles = torch.arange(n)[:, None] * base ** (-even / (d + d % 2))
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :d].float()
