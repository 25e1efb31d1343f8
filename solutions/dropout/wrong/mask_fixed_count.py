"""Exactly the share p of the entries is dropped.

exercise: mask
caught-by: mask_counts
also-breaks: dropout
"""

import math


def dropout_mask(shape, p, *, generator=None, dtype=torch.float32, device=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    n = math.prod(shape)
    keep = torch.ones(n, dtype=dtype)
    keep[torch.randperm(n, generator=generator)[: round(n * p)]] = 0
    keep = keep.reshape(shape)
    return keep / (1 - p) if p < 1 else keep
