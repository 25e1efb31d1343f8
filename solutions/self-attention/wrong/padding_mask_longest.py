"""As long as the longest sequence.

exercise: masks
caught-by: padding_mask_sizes
"""


def padding_mask(lengths, L):
    return torch.arange(int(lengths.max())) < lengths.view(-1, 1, 1, 1)
