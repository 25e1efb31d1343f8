"""The usual code: exp of a logarithm, in float32.

exercise: positional
caught-by: positional_far
told: angles or frequencies were rounded to float32, which is too coarse for large positions
"""


def positional_encoding(n, d, base=10000.0):
    P = torch.zeros(n, d)
    position = torch.arange(n).unsqueeze(1)
    div = torch.exp(torch.arange(0, d, 2) * (-math.log(base) / d))
    P[:, 0::2] = torch.sin(position * div)
    P[:, 1::2] = torch.cos(position * div)[:, : d // 2]
    return P
