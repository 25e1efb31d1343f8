"""For p = 1 the gradient is zero times infinity.

exercise: dropout
caught-by: dropout_ends
"""


def dropout(x, p=0.5, training=True, generator=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    if not training:
        return x
    drop = torch.rand(x.shape, generator=generator) < p
    return torch.where(drop, torch.zeros_like(x), x / torch.tensor(1 - p, dtype=x.dtype))
