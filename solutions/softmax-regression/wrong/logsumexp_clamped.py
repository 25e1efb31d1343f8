"""Logits are clamped to ±80 instead of shifted.

exercise: logsumexp
caught-by: logsumexp_large, logsumexp_extremes
"""


def logsumexp(x, dim, keepdim=False):
    return x.clamp(-80, 80).exp().sum(dim, keepdim=keepdim).log()
