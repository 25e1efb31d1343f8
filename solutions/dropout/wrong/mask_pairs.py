"""One coin for two neighbours.

exercise: mask
caught-by: mask_independence
also-breaks: dropout, module, mlp
"""


def dropout_mask(shape, p, *, generator=None, dtype=torch.float32, device=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    if not shape or shape[-1] < 2:
        wide = torch.rand(shape, generator=generator)
    else:
        half = torch.rand((*shape[:-1], (shape[-1] + 1) // 2), generator=generator)
        wide = half.repeat_interleave(2, -1)[..., : shape[-1]]
    keep = (wide >= p).to(dtype)
    return keep / (1 - p) if p < 1 else keep
