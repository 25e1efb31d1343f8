"""The flag training is ignored.

exercise: dropout2d
caught-by: dropout2d_ends
"""


def dropout2d(x, p=0.5, training=True, generator=None):
    if x.ndim != 4:
        raise ValueError("x")
    if not 0 <= p <= 1:
        raise ValueError("p")
    return x * dropout_mask((*x.shape[:2], 1, 1), p, generator=generator, dtype=x.dtype)
