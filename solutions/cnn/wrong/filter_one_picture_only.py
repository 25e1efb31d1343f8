"""Written for one picture (H, W).

exercise: filters
caught-by: filter_shapes
"""


def apply_filter(img, k):
    kh, kw = k.shape
    if kh % 2 == 0 or kw % 2 == 0:
        raise ValueError("no middle")
    pictures = img[None, None]
    return conv2d(pictures, k[None, None].to(img.dtype), padding=(kh // 2, kw // 2))[0, 0]
