"""The backward pass uses the mask without its scale.

exercise: dropout
caught-by: dropout_values
also-breaks: module
told: the gradient lacks the factor 1 / (1 − p)
"""


def dropout(x, p=0.5, training=True, generator=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    if not training:
        return x
    mask = dropout_mask(x.shape, p, generator=generator, dtype=x.dtype)
    keep = (mask > 0).to(x.dtype)
    return x * keep + (x * mask - x * keep).detach()
