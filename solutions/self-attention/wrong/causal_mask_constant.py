"""Made once, for at most 16 tokens.

exercise: masks
caught-by: causal_mask_sizes
"""


def causal_mask(n):
    return torch.ones(16, 16, dtype=torch.bool).tril()[:n, :n].clone()
