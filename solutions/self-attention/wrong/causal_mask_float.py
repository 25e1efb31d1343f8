"""Ones and zeros.

exercise: masks
caught-by: causal_mask_values
also-breaks: multihead
"""


def causal_mask(n):
    return torch.ones(n, n).tril()
