"""Large pictures are filtered in halves that do not see each other.

exercise: filters
caught-by: filter_equivariance
"""

import torch


def apply_filter(img, k):
    kh, kw = k.shape
    if kh % 2 == 0 or kw % 2 == 0:
        raise ValueError("no middle")
    pictures = img.reshape(-1, 1, *img.shape[-2:])
    return (
        conv2d(pictures, k[None, None].to(img.dtype), padding=(kh // 2, kw // 2)).reshape(img.shape)
        if img.shape[-2] < 10
        else torch.cat(
            [conv2d(half, k[None, None].to(img.dtype), padding=(kh // 2, kw // 2)) for half in pictures.chunk(2, 2)], 2
        ).reshape(img.shape)
    )
