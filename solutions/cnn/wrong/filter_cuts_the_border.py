"""Without padding the picture shrinks.

exercise: filters
caught-by: filter_values
told: the border was cut off; the result has the size of the picture
"""


def apply_filter(img, k):
    kh, kw = k.shape
    if kh % 2 == 0 or kw % 2 == 0:
        raise ValueError("no middle")
    pictures = img.reshape(-1, 1, *img.shape[-2:])
    return conv2d(pictures, k[None, None].to(img.dtype)).reshape(
        *img.shape[:-2], img.shape[-2] - kh + 1, img.shape[-1] - kw + 1
    )
