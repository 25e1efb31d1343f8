"""The picture is continued by its border.

exercise: filters
caught-by: filter_values
"""

import torch.nn.functional as F


def apply_filter(img, k):
    kh, kw = k.shape
    if kh % 2 == 0 or kw % 2 == 0:
        raise ValueError("no middle")
    pictures = F.pad(img.reshape(-1, 1, *img.shape[-2:]), (kw // 2, kw // 2, kh // 2, kh // 2), mode="replicate")
    return conv2d(pictures, k[None, None].to(img.dtype)).reshape(img.shape)
