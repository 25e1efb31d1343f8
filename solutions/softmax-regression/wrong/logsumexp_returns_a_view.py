"""A shortcut for a dimension of size 1 gives back the memory of the argument.

exercise: logsumexp
caught-by: logsumexp_side_effects
"""


def logsumexp(x, dim, keepdim=False):
    if x.shape[dim] == 1:
        return x if keepdim else x.squeeze(dim)
    m = x.detach().amax(dim, keepdim=True)
    m = m.masked_fill(m.isinf(), 0.0)
    result = (x - m).exp().sum(dim, keepdim=True).log() + m
    return result if keepdim else result.squeeze(dim)
