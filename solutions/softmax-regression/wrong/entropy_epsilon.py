"""log(p + 1e-8).

exercise: information
caught-by: entropy_zeros
"""


def entropy(p, dim=-1):
    return -(p * (p + 1e-8).log()).sum(dim)
