"""p is taken for the probability of keeping, all through.

exercise: mask
caught-by: mask_values
also-breaks: dropout, module, dropout2d, mlp
told: the survivors were scaled by 1 / p; they are 1 / (1 − p)
"""


def dropout_mask(shape, p, *, generator=None, dtype=torch.float32, device=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    keep = (torch.rand(shape, generator=generator) < p).to(dtype)
    return keep / p if p else keep
