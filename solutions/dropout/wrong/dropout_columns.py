"""All samples share the coins of one.

exercise: dropout
caught-by: dropout_independence
also-breaks: module, mlp, dropout2d
"""


def dropout(x, p=0.5, training=True, generator=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    if not training:
        return x
    return x * dropout_mask(x.shape[1:], p, generator=generator, dtype=x.dtype)
