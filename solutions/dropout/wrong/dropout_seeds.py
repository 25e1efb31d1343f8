"""The global generator is seeded, so that the mask can be repeated.

exercise: dropout
caught-by: dropout_values
also-breaks: module, dropout2d, mlp
"""


def dropout(x, p=0.5, training=True, generator=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    if not training:
        return x
    torch.manual_seed(0)
    return x * dropout_mask(x.shape, p, dtype=x.dtype)
