"""All channels of a sample share a coin.

exercise: dropout2d
caught-by: dropout2d_independence
told: one coin was flipped for all channels; each has its own
"""


def dropout2d(x, p=0.5, training=True, generator=None):
    if x.ndim != 4:
        raise ValueError("x")
    if not 0 <= p <= 1:
        raise ValueError("p")
    if not training:
        return x
    return x * dropout_mask((len(x), 1, 1, 1), p, generator=generator, dtype=x.dtype)
