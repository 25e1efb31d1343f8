"""One coin a sample.

exercise: dropout
caught-by: dropout_independence
also-breaks: module, mlp, dropout2d
"""


def dropout(x, p=0.5, training=True, generator=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    if not training:
        return x
    shape = (len(x), *[1] * (x.ndim - 1)) if x.ndim else ()
    return x * dropout_mask(shape, p, generator=generator, dtype=x.dtype)
