"""Half the height of the kernel on all sides.

exercise: filters
caught-by: filter_shapes
"""


def apply_filter(img, k):
    kh, kw = k.shape
    if kh % 2 == 0 or kw % 2 == 0:
        raise ValueError("no middle")
    pictures = img.reshape(-1, 1, *img.shape[-2:])
    return conv2d(pictures, k[None, None].to(img.dtype), padding=kh // 2).reshape(img.shape)
