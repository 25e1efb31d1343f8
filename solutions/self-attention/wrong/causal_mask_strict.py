"""A token cannot see itself.

exercise: masks
caught-by: causal_mask_values
also-breaks: multihead
told: tokens cannot see themselves; they may
"""


def causal_mask(n):
    return torch.ones(n, n, dtype=torch.bool).tril(-1)
