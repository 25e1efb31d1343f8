"""Without a generator, the same mask in each call.

exercise: dropout
caught-by: dropout_generator
also-breaks: module, dropout2d, mlp
"""


def dropout(x, p=0.5, training=True, generator=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    if not training:
        return x
    generator = torch.Generator().manual_seed(7) if generator is None else generator
    return x * dropout_mask(x.shape, p, generator=generator, dtype=x.dtype)
