"""True where attention is forbidden.

exercise: masks
caught-by: causal_mask_values
also-breaks: multihead
told: the mask is True where attention is forbidden; True means allowed
"""


def causal_mask(n):
    return ~torch.ones(n, n, dtype=torch.bool).tril()
