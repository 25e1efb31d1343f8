"""p = 1 is taken for an error.

exercise: mask
caught-by: mask_ends
also-breaks: dropout, module, dropout2d, mlp
"""


def dropout_mask(shape, p, *, generator=None, dtype=torch.float32, device=None):
    if not 0 <= p < 1:
        raise ValueError("p")
    return (torch.rand(shape, generator=generator) >= p).to(dtype) / (1 - p)
