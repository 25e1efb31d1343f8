"""Blocks by reshape: strides and windows that do not divide the picture are forgotten.

exercise: pooling
caught-by: pool_strides
"""


def max_pool2d(x, k, stride=None, padding=0):
    kh, kw = pair(k)
    x = pad2d(x, padding, float("-inf"))
    height, width = x.shape[2] // kh, x.shape[3] // kw
    return x[:, :, : height * kh, : width * kw].unflatten(2, (height, kh)).unflatten(4, (width, kw)).amax((3, 5))
