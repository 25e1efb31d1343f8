"""log(p + 1e-8).

exercise: information
caught-by: entropy_zeros
told: a small number was added before the logarithm
"""


def entropy(p, dim=-1):
    return -(p * (p + 1e-8).log()).sum(dim)
