"""The result is made of x.data.

exercise: dropout
caught-by: dropout_values
also-breaks: module, mlp
"""


def dropout(x, p=0.5, training=True, generator=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    if not training:
        return x
    mask = dropout_mask(x.shape, p, generator=generator, dtype=x.dtype)
    return x.data * mask
