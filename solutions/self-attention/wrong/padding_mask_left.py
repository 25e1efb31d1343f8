"""Padding at the beginning.

exercise: masks
caught-by: padding_mask_values
told: the padding was taken to be at the beginning; it is at the end
"""


def padding_mask(lengths, L):
    return torch.arange(L).flip(0) < lengths.view(-1, 1, 1, 1)
