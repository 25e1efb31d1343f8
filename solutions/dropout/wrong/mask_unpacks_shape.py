"""torch.rand(*shape) needs at least one dimension.

exercise: mask
caught-by: mask_shapes
also-breaks: dropout
"""


def dropout_mask(shape, p, *, generator=None, dtype=torch.float32, device=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    keep = (torch.rand(*shape, generator=generator) >= p).to(dtype)
    return keep if p == 1 else keep / (1 - p)
