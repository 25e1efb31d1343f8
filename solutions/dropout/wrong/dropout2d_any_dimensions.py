"""Vectors and matrices are accepted.

exercise: dropout2d
caught-by: dropout2d_arguments
"""


def dropout2d(x, p=0.5, training=True, generator=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    if not training:
        return x
    return x * dropout_mask((*x.shape[:2], *[1] * (x.ndim - 2)), p, generator=generator, dtype=x.dtype)
