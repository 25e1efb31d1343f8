"""One maximum for the whole tensor.

exercise: logsumexp
caught-by: logsumexp_extremes, logsumexp_large
"""


def logsumexp(x, dim, keepdim=False):
    m = x.max()
    if m.isinf():
        m = torch.zeros_like(m)
    return (x - m).exp().sum(dim, keepdim=keepdim).log() + m
