"""A kernel is refused only if both sides are even.

exercise: filters
caught-by: filter_errors
"""


def apply_filter(img, k):
    kh, kw = k.shape
    if kh % 2 == 0 and kw % 2 == 0:
        raise ValueError("no middle")
    pictures = img.reshape(-1, 1, *img.shape[-2:])
    return conv2d(pictures, k[None, None].to(img.dtype), padding=(kh // 2, kw // 2))[
        ..., : img.shape[-2], : img.shape[-1]
    ].reshape(img.shape)
