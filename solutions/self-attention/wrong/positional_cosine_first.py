"""Cosine and sine in turns.

exercise: positional
caught-by: positional_values
told: sine and cosine were swapped; the sine comes first
"""


def positional_encoding(n, d, base=10000.0):
    even = torch.arange(0, d, 2, dtype=torch.float64)
    angles = torch.arange(n)[:, None] * base ** (-even / d)
    return torch.stack([angles.cos(), angles.sin()], dim=-1).flatten(1)[:, :d].float()
