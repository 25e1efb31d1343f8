"""One token too many.

exercise: masks
caught-by: padding_mask_values
told: one token too many is allowed
"""


def padding_mask(lengths, L):
    return torch.arange(L) <= lengths.view(-1, 1, 1, 1)
