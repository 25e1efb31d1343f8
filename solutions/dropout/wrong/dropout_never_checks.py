"""A bad p is never refused.

exercise: dropout
caught-by: dropout_arguments
also-breaks: dropout2d
"""


def dropout(x, p=0.5, training=True, generator=None):
    if not training:
        return x
    keep = (torch.rand(x.shape, generator=generator) >= p).to(x.dtype)
    return x * keep / (1 - p) if p < 1 else x * 0
