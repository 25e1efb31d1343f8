"""A third dimension is taken for channels, and summed.

exercise: filters
caught-by: filter_shapes
"""


def apply_filter(img, k):
    kh, kw = k.shape
    if kh % 2 == 0 or kw % 2 == 0:
        raise ValueError("no middle")
    pictures = img.reshape(-1, img.shape[-3] if img.ndim > 2 else 1, *img.shape[-2:])
    return conv2d(
        pictures,
        k[None, None].to(img.dtype).expand(pictures.shape[1], pictures.shape[1], kh, kw),
        padding=(kh // 2, kw // 2),
    ).reshape(img.shape)
