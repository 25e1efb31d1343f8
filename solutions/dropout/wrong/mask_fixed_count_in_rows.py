"""Exactly the share p of each row is dropped.

exercise: mask
caught-by: mask_independence, mask_counts
also-breaks: dropout, module, dropout2d, mlp
"""


def dropout_mask(shape, p, *, generator=None, dtype=torch.float32, device=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    order = torch.rand(shape, generator=generator).argsort(-1).argsort(-1) if shape else torch.zeros(())
    keep = (order >= round(p * shape[-1]) if shape else order == 0).to(dtype)
    return keep / (1 - p) if p < 1 else torch.zeros(shape, dtype=dtype)
