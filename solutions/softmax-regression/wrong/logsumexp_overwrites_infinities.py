"""−∞ is replaced by the smallest number, in the argument itself.

exercise: logsumexp
caught-by: logsumexp_side_effects, logsumexp_infinities
"""


def logsumexp(x, dim, keepdim=False):
    x.data[x == float("-inf")] = torch.finfo(x.dtype).min
    m = x.detach().amax(dim, keepdim=True)
    result = (x - m).exp().sum(dim, keepdim=True).log() + m
    return result if keepdim else result.squeeze(dim)
