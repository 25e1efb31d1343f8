"""Without a generator, a new one with a fixed seed is made in each call.

exercise: mask
caught-by: mask_generator
also-breaks: dropout, module, dropout2d, mlp
"""


def dropout_mask(shape, p, *, generator=None, dtype=torch.float32, device=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    if generator is None:
        generator = torch.Generator().manual_seed(0)
    keep = (torch.rand(shape, generator=generator) >= p).to(dtype)
    return keep if p == 1 else keep / (1 - p)
