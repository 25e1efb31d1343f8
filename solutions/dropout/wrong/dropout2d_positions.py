"""One coin a position, for all channels.

exercise: dropout2d
caught-by: dropout2d_values
"""


def dropout2d(x, p=0.5, training=True, generator=None):
    if x.ndim != 4:
        raise ValueError("x")
    if not 0 <= p <= 1:
        raise ValueError("p")
    if not training:
        return x
    return x * dropout_mask((len(x), 1, *x.shape[2:]), p, generator=generator, dtype=x.dtype)
