"""The formula as it stands in the book, without the maximum.

exercise: logsumexp
caught-by: logsumexp_large, logsumexp_extremes
"""


def logsumexp(x, dim, keepdim=False):
    return x.exp().sum(dim, keepdim=keepdim).log()
