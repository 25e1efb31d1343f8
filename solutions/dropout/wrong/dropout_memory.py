"""Everything in float64, and nothing let go.

exercise: dropout
caught-by: dropout_cost
"""


def dropout(x, p=0.5, training=True, generator=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    if not training:
        return x
    coins = torch.rand(x.shape, generator=generator, dtype=torch.float64)
    keep = (coins >= p).double()
    mask = keep / (1 - p) if p < 1 else keep
    return (x * mask).to(x.dtype)
