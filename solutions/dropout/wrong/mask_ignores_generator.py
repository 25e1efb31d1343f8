"""Random numbers always come from the global generator.

exercise: mask
caught-by: mask_values
also-breaks: dropout, module, dropout2d
"""


def dropout_mask(shape, p, *, generator=None, dtype=torch.float32, device=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    keep = (torch.rand(shape) >= p).to(dtype)
    return keep if p == 1 else keep / (1 - p)
