"""A bad p raises AssertionError.

exercise: mask
caught-by: mask_bad_p
"""


def dropout_mask(shape, p, *, generator=None, dtype=torch.float32, device=None):
    assert 0 <= p <= 1
    keep = (torch.rand(shape, generator=generator) >= p).to(dtype)
    return keep if p == 1 else keep / (1 - p)
