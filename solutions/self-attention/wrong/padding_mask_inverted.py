"""True where the padding is.

exercise: masks
caught-by: padding_mask_values
told: the mask is True where the padding is; True means allowed
"""


def padding_mask(lengths, L):
    return torch.arange(L) >= lengths.view(-1, 1, 1, 1)
