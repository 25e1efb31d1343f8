"""Noise with the right mean and variance that drops nothing.

exercise: dropout
caught-by: dropout_values
also-breaks: module, dropout2d, mlp
"""


def dropout(x, p=0.5, training=True, generator=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    if not training:
        return x
    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    return x * (1 + noise * (p / (1 - p)) ** 0.5) if p < 1 else x * 0
