"""squeeze() without a dimension.

exercise: logsumexp
caught-by: logsumexp_dims
"""


def logsumexp(x, dim, keepdim=False):
    m = x.detach().amax(dim, keepdim=True)
    m = m.masked_fill(m.isinf(), 0.0)
    result = (x - m).exp().sum(dim, keepdim=True).log() + m
    return result if keepdim else result.squeeze()
