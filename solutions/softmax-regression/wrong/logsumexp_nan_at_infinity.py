"""A maximum of −∞ or +∞ is subtracted like any other.

exercise: logsumexp
caught-by: logsumexp_infinities
"""


def logsumexp(x, dim, keepdim=False):
    m = x.detach().amax(dim, keepdim=True)
    result = (x - m).exp().sum(dim, keepdim=True).log() + m
    return result if keepdim else result.squeeze(dim)
