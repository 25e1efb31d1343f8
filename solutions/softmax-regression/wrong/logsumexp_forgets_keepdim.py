"""keepdim is ignored.

exercise: logsumexp
caught-by: logsumexp_dims
"""


def logsumexp(x, dim, keepdim=False):
    m = x.detach().amax(dim, keepdim=True)
    m = m.masked_fill(m.isinf(), 0.0)
    return (x - m).exp().sum(dim).log() + m.squeeze(dim)
