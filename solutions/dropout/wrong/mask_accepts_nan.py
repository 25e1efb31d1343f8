"""p < 0 or p > 1 is False for NaN.

exercise: mask
caught-by: mask_bad_p
"""


def dropout_mask(shape, p, *, generator=None, dtype=torch.float32, device=None):
    if p < 0 or p > 1:
        raise ValueError("p")
    keep = (torch.rand(shape, generator=generator) >= p).to(dtype)
    return keep if p == 1 else keep / (1 - p)
