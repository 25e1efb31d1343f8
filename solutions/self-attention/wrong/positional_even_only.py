"""Fails for odd d.

exercise: positional
caught-by: positional_odd
"""


def positional_encoding(n, d, base=10000.0):
    P = torch.zeros(n, d)
    angles = torch.arange(n, dtype=torch.float64)[:, None] * base ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    P[:, 0::2] = angles.sin().float()
    P[:, 1::2] = angles.cos().float()
    return P
