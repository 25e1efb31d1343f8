"""The entropy to base 2.

exercise: information
caught-by: entropy_values
told: the logarithm was taken to base 2; the course uses the natural one
"""


def entropy(p, dim=-1):
    return -torch.where(p > 0, p * p.log2(), 0.0).sum(dim)
