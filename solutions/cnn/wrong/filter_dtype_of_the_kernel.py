"""The picture is cast to the kernel's dtype.

exercise: filters
caught-by: filter_errors
"""


def apply_filter(img, k):
    kh, kw = k.shape
    if kh % 2 == 0 or kw % 2 == 0:
        raise ValueError("no middle")
    pictures = img.to(k.dtype).reshape(-1, 1, *img.shape[-2:])
    return conv2d(pictures, k[None, None], padding=(kh // 2, kw // 2)).reshape(img.shape)
