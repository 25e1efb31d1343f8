"""nan_to_num makes the infinite divergence 0.

exercise: information
caught-by: kl_divergence_zeros
"""


def kl_divergence(p, q, dim=-1):
    return torch.nan_to_num(p * (p / q).log(), nan=0.0, posinf=0.0, neginf=0.0).sum(dim)
