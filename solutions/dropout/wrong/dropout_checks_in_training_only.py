"""A bad p is accepted in evaluation.

exercise: dropout
caught-by: dropout_arguments
also-breaks: dropout2d
"""


def dropout(x, p=0.5, training=True, generator=None):
    return x * dropout_mask(x.shape, p, generator=generator, dtype=x.dtype) if training else x
