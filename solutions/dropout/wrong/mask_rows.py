"""One coin a row.

exercise: mask
caught-by: mask_independence
also-breaks: dropout, module, mlp
"""


def dropout_mask(shape, p, *, generator=None, dtype=torch.float32, device=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    keep = (torch.rand((*shape[:-1], 1) if shape else (), generator=generator) >= p).to(dtype).expand(shape).clone()
    return keep / (1 - p) if p < 1 else keep
