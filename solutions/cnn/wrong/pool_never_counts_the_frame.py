"""count_include_pad is taken for False.

exercise: pooling
caught-by: avg_pool_padding
told: the zeros of the frame were counted where they should not be, or the other way round
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
    inside = windows_of(torch.ones_like(x), k, stride, padding, 0.0)
    return windows.sum((-2, -1)) / inside.sum((-2, -1))
