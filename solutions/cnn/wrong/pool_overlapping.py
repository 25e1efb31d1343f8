"""The stride is 1 unless it is given.

exercise: pooling
caught-by: max_pool_values
also-breaks: lenet
told: windows overlap; the stride is the window's size unless it is given
"""

import math

import torch


def windows_of(x, k, stride, padding, value):
    size, frame = pair(k), pair(padding)
    if 2 * frame[0] > size[0] or 2 * frame[1] > size[1]:
        raise ValueError("the frame is wider than half a window")
    sh, sw = pair(1 if stride is None else stride)
    x = pad2d(x, frame, value)
    if x.shape[2] < size[0] or x.shape[3] < size[1]:
        raise ValueError("no window fits")
    return x.unfold(2, size[0], sh).unfold(3, size[1], sw)


def max_pool2d(x, k, stride=None, padding=0):
    windows = windows_of(x, k, stride, padding, -math.inf)
    return windows.amax((-2, -1))


def avg_pool2d(x, k, stride=None, padding=0, count_include_pad=True):
    windows = windows_of(x, k, stride, padding, 0.0)
    if count_include_pad:
        return windows.mean((-2, -1))
    inside = windows_of(torch.ones_like(x), k, stride, padding, 0.0)
    return windows.sum((-2, -1)) / inside.sum((-2, -1))
