"""For p = 1 zero is divided by zero.

exercise: dropout2d
caught-by: dropout2d_ends
"""


def dropout2d(x, p=0.5, training=True, generator=None):
    if x.ndim != 4:
        raise ValueError("x")
    if not 0 <= p <= 1:
        raise ValueError("p")
    if not training:
        return x
    return x * (torch.rand(*x.shape[:2], 1, 1, generator=generator) >= p).to(x.dtype) / (1 - p)
