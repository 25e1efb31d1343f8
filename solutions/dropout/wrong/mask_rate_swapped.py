"""Entries are dropped with probability 1 − p, though the scale is right.

exercise: mask
caught-by: mask_rate
also-breaks: dropout, module, dropout2d, mlp
told: p was taken for the probability of keeping; it is that of dropping
"""


def dropout_mask(shape, p, *, generator=None, dtype=torch.float32, device=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    if p in (0, 1):
        return torch.full(shape, 1.0 - p, dtype=dtype)
    return (torch.rand(shape, generator=generator) < p).to(dtype) / (1 - p)
