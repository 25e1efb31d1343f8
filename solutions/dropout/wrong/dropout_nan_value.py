"""For p = 1 zero is divided by zero.

exercise: dropout
caught-by: dropout_ends
also-breaks: module, dropout2d, mlp
"""


def dropout(x, p=0.5, training=True, generator=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    if not training:
        return x
    keep = (torch.rand(x.shape, generator=generator) >= p).to(x.dtype)
    return x * keep / (1 - p)
