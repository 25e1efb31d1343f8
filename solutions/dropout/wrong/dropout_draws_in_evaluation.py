"""The mask is drawn before anybody asks for it.

exercise: dropout
caught-by: dropout_evaluation
also-breaks: module, dropout2d, mlp
"""


def dropout(x, p=0.5, training=True, generator=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    mask = dropout_mask(x.shape, p, generator=generator, dtype=x.dtype)
    return x * mask if training else x
