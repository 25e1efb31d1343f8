"""A loop over the samples.

exercise: dropout2d
caught-by: dropout2d_generator
"""


def dropout2d(x, p=0.5, training=True, generator=None):
    if x.ndim != 4:
        raise ValueError("x")
    if not 0 <= p <= 1:
        raise ValueError("p")
    if not training:
        return x
    return torch.stack([s * dropout_mask((len(s), 1, 1), p, generator=generator, dtype=x.dtype) for s in x])
