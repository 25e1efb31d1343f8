"""Even kernels are not refused, and one row or column is cut off.

exercise: filters
caught-by: filter_errors
"""


def apply_filter(img, k):
    kh, kw = k.shape
    pictures = img.reshape(-1, 1, *img.shape[-2:])
    return conv2d(pictures, k[None, None].to(img.dtype), padding=(kh // 2, kw // 2))[
        ..., : img.shape[-2], : img.shape[-1]
    ].reshape(img.shape)
