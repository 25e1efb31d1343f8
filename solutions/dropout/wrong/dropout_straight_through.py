"""The gradient is passed on as if nothing had been dropped.

exercise: dropout
caught-by: dropout_values
also-breaks: module
told: the gradient ignores the mask; what was dropped learns nothing
"""


def dropout(x, p=0.5, training=True, generator=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    if not training:
        return x
    mask = dropout_mask(x.shape, p, generator=generator, dtype=x.dtype)
    return x + (x * mask - x).detach()
