"""The gradient is spread over the whole window, as a mean's.

exercise: pooling
caught-by: max_pool_values
"""

import math


def windows_of(x, k, stride, padding, value):
    size, frame = pair(k), pair(padding)
    if 2 * frame[0] > size[0] or 2 * frame[1] > size[1]:
        raise ValueError("the frame is wider than half a window")
    sh, sw = pair(k if stride is None else stride)
    x = pad2d(x, frame, value)
    if x.shape[2] < size[0] or x.shape[3] < size[1]:
        raise ValueError("no window fits")
    return x.unfold(2, size[0], sh).unfold(3, size[1], sw)


def max_pool2d(x, k, stride=None, padding=0):
    windows = windows_of(x, k, stride, padding, -math.inf)
    return windows.mean((-2, -1)) + (windows.amax((-2, -1)) - windows.mean((-2, -1))).detach()
