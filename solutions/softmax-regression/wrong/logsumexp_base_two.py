"""The logarithm to base 2.

exercise: logsumexp
caught-by: logsumexp_values
"""


def logsumexp(x, dim, keepdim=False):
    m = x.detach().amax(dim, keepdim=True)
    result = (x - m).exp().sum(dim, keepdim=True).log2() + m
    return result if keepdim else result.squeeze(dim)
