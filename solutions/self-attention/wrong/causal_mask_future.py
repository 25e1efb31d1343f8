"""Shows the future.

exercise: masks
caught-by: causal_mask_values
also-breaks: multihead
told: rows and columns were swapped: tokens see the future
"""


def causal_mask(n):
    return torch.ones(n, n, dtype=torch.bool).triu()
