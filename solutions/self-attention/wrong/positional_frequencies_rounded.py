"""Frequencies in float32, angles in float64.

exercise: positional
caught-by: positional_far
told: angles or frequencies were rounded to float32, which is too coarse for large positions
"""


def positional_encoding(n, d, base=10000.0):
    even = torch.arange(0, d, 2, dtype=torch.float64)
    angles = torch.arange(n)[:, None] * (base ** (-even / d)).float().double()
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :d].float()
