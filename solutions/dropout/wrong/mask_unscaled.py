"""The mask is made of zeros and ones.

exercise: mask
caught-by: mask_values
also-breaks: dropout, module, dropout2d, mlp
told: the survivors were left at 1; they are 1 / (1 − p)
"""


def dropout_mask(shape, p, *, generator=None, dtype=torch.float32, device=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    return (torch.rand(shape, generator=generator) >= p).to(dtype)
