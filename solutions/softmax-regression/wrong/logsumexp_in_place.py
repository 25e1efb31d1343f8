"""The maximum is subtracted from the argument itself.

exercise: logsumexp
caught-by: logsumexp_values
"""


def logsumexp(x, dim, keepdim=False):
    m = x.detach().amax(dim, keepdim=True)
    m = m.masked_fill(m.isinf(), 0.0)
    x -= m
    result = x.exp().sum(dim, keepdim=True).log() + m
    return result if keepdim else result.squeeze(dim)
