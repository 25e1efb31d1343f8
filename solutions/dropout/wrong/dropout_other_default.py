"""p is 0.1 by default.

exercise: dropout
caught-by: dropout_arguments
"""


def dropout(x, p=0.1, training=True, generator=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    if not training:
        return x
    return x * dropout_mask(x.shape, p, generator=generator, dtype=x.dtype)
