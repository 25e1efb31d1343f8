"""A bad p is accepted in evaluation.

exercise: dropout2d
caught-by: dropout2d_arguments
"""


def dropout2d(x, p=0.5, training=True, generator=None):
    if x.ndim != 4:
        raise ValueError("x")
    if not training:
        return x
    return x * dropout_mask((*x.shape[:2], 1, 1), p, generator=generator, dtype=x.dtype)
