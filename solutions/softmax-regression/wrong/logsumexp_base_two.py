"""The logarithm to base 2.

exercise: logsumexp
caught-by: logsumexp_values
told: the logarithm was taken to base 2; the course uses the natural one
"""


def logsumexp(x, dim, keepdim=False):
    return x.exp().sum(dim, keepdim=keepdim).log2()
