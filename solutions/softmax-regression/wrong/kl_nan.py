"""0 · log(0/q).

exercise: information
caught-by: kl_divergence_zeros
"""


def kl_divergence(p, q, dim=-1):
    return (p * (p / q).log()).sum(dim)
