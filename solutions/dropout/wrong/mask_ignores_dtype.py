"""The mask is always float32.

exercise: mask
caught-by: mask_values
also-breaks: dropout, dropout2d
"""


def dropout_mask(shape, p, *, generator=None, dtype=torch.float32, device=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    keep = (torch.rand(shape, generator=generator) >= p).float()
    return keep if p == 1 else keep / (1 - p)
