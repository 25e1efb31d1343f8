"""0 · log 0.

exercise: information
caught-by: entropy_zeros
"""


def entropy(p, dim=-1):
    return -(p * p.log()).sum(dim)
