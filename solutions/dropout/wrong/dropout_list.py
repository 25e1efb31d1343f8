"""The mask made entry by entry in Python: few operations, and far too slow.

exercise: dropout
caught-by: dropout_cost
"""


def dropout(x, p=0.5, training=True, generator=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    if not training:
        return x
    coins = torch.rand(x.shape, generator=generator)
    keep = [coin >= p for coin in coins.flatten().tolist()]
    mask = torch.tensor(keep, dtype=x.dtype).reshape(x.shape)
    return x * mask / (1 - p) if p < 1 else x * mask
