"""A true convolution: the kernel is flipped.

exercise: filters
caught-by: filter_values
told: the kernel was flipped; this course's convolution is cross-correlation
"""


def apply_filter(img, k):
    kh, kw = k.shape
    if kh % 2 == 0 or kw % 2 == 0:
        raise ValueError("no middle")
    pictures = img.reshape(-1, 1, *img.shape[-2:])
    return conv2d(pictures, k.flip(0, 1)[None, None].to(img.dtype), padding=(kh // 2, kw // 2)).reshape(img.shape)
