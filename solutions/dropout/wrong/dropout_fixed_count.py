"""Exactly the share p of each row is dropped.

exercise: dropout
caught-by: dropout_independence
also-breaks: module, dropout2d, mlp
"""


def dropout(x, p=0.5, training=True, generator=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    if not training:
        return x
    if x.ndim == 0 or p in (0, 1):
        return x * dropout_mask(x.shape, p, generator=generator, dtype=x.dtype)
    rank = torch.rand(x.shape, generator=generator).argsort(-1).argsort(-1)
    return x * (rank >= round(p * x.shape[-1])) / (1 - p)
