"""A last window that is not full is kept.

exercise: pooling
caught-by: pool_strides
told: windows that are not full were counted
"""

import math


def max_pool2d(x, k, stride=None, padding=0):
    (kh, kw), (ph, pw) = pair(k), pair(padding)
    sh, sw = pair(k if stride is None else stride)
    if 2 * ph > kh or 2 * pw > kw:
        raise ValueError("the frame is wider than half a window")
    x = pad2d(x, padding, -math.inf)
    if x.shape[2] < kh or x.shape[3] < kw:
        raise ValueError("no window fits")
    down, across = -(x.shape[2] - kh) % sh, -(x.shape[3] - kw) % sw
    return pad2d(x, (down, across), -math.inf)[:, :, down:, across:].unfold(2, kh, sh).unfold(3, kw, sw).amax((-2, -1))
