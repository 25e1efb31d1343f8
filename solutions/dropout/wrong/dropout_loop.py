"""A loop over the entries.

exercise: dropout
caught-by: dropout_cost
also-breaks: dropout2d
"""


def dropout(x, p=0.5, training=True, generator=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    if not training:
        return x
    coins = torch.rand(x.shape, generator=generator).reshape(-1)
    if p == 1:
        return x * 0
    if x.numel() > 12:
        rows = [row * (c >= p) / (1 - p) for row, c in zip(x.reshape(-1, x.shape[-1]), coins.reshape(-1, x.shape[-1]))]
        return torch.stack(rows).reshape(x.shape)
    return x * (coins.reshape(x.shape) >= p) / (1 - p)
