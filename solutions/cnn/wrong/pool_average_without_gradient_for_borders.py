"""Without the frame, the mean is computed out of reach of autograd.

exercise: pooling
caught-by: pool_gradients
"""

import math

import torch


def windows_of(x, k, stride, padding, value):
    size, frame = pair(k), pair(padding)
    if 2 * frame[0] > size[0] or 2 * frame[1] > size[1]:
        raise ValueError("the frame is wider than half a window")
    sh, sw = pair(k if stride is None else stride)
    x = pad2d(x, frame, value)
    if x.shape[2] < size[0] or x.shape[3] < size[1]:
        raise ValueError("no window fits")
    return x.unfold(2, size[0], sh).unfold(3, size[1], sw)


def avg_pool2d(x, k, stride=None, padding=0, count_include_pad=True):
    windows = windows_of(x, k, stride, padding, 0.0)
    if count_include_pad:
        return windows.mean((-2, -1))
    inside = windows_of(torch.ones_like(x), k, stride, padding, 0.0)
    return windows.data.sum((-2, -1)) / inside.sum((-2, -1)) + 0 * windows.sum((-2, -1))
