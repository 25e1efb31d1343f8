"""The arguments are swapped.

exercise: information
caught-by: kl_divergence_values
told: the arguments were swapped; the first weighs the terms
"""


def kl_divergence(p, q, dim=-1):
    return (torch.xlogy(q, q) - torch.xlogy(q, p)).sum(dim)
