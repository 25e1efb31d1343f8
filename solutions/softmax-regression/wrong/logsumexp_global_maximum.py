"""One maximum for the whole tensor.

exercise: logsumexp
caught-by: logsumexp_extremes, logsumexp_large
told: one maximum was used for the whole tensor; each row needs its own
"""


def logsumexp(x, dim, keepdim=False):
    m = x.max()
    if m.isinf():
        m = torch.zeros_like(m)
    return (x - m).exp().sum(dim, keepdim=keepdim).log() + m
