"""The generator is set back to the same seed in each call.

exercise: mask
caught-by: mask_generator, mask_counts
also-breaks: dropout, module, dropout2d
"""


def dropout_mask(shape, p, *, generator=None, dtype=torch.float32, device=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    if generator is not None:
        generator.manual_seed(0)
    keep = (torch.rand(shape, generator=generator) >= p).to(dtype)
    return keep if p == 1 else keep / (1 - p)
