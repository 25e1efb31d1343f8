"""p is the probability of keeping, with the scale of dropping.

exercise: dropout
caught-by: dropout_independence
also-breaks: module, dropout2d, mlp
told: p was taken for the probability of keeping; it is that of dropping
"""


def dropout(x, p=0.5, training=True, generator=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    if not training:
        return x
    if p in (0, 1):
        return x * (1.0 - p)
    return x * (torch.rand(x.shape, generator=generator) < p) / (1 - p)
