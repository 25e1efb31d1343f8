"""A batch of one loses its dimension.

exercise: masks
caught-by: padding_mask_sizes
"""


def padding_mask(lengths, L):
    return (torch.arange(L) < lengths.view(-1, 1)).squeeze()[..., None, None, :]
