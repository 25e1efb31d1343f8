"""The logarithm to base 2.

exercise: logsumexp
caught-by: logsumexp_values
"""


def logsumexp(x, dim, keepdim=False):
    return x.exp().sum(dim, keepdim=keepdim).log2()
