"""The formula as it stands in the book, without the maximum.

exercise: logsumexp
caught-by: logsumexp_large, logsumexp_extremes
told: exp was taken without subtracting the maximum
"""


def logsumexp(x, dim, keepdim=False):
    return x.exp().sum(dim, keepdim=keepdim).log()
