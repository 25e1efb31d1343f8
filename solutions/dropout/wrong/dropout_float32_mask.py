"""The mask is float32, whatever x is.

exercise: dropout
caught-by: dropout_dtypes
also-breaks: dropout2d
"""


def dropout(x, p=0.5, training=True, generator=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    if not training:
        return x
    result = x * dropout_mask(x.shape, p, generator=generator, dtype=torch.float32)
    return result if x.dtype != torch.float64 else x * dropout_mask(x.shape, p, generator=generator, dtype=x.dtype)
