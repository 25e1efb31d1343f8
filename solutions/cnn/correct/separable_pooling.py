"""Pooling one direction after the other: rows first, then columns."""

import torch


def _check(x, k, padding):
    (kh, kw), (ph, pw) = pair(k), pair(padding)
    if ph > kh // 2 or pw > kw // 2:
        raise ValueError("the frame is wider than half a window")
    if x.shape[2] + 2 * ph < kh or x.shape[3] + 2 * pw < kw:
        raise ValueError("no window fits")


def max_pool2d(x, k, stride=None, padding=0):
    _check(x, k, padding)
    kernel = pair(k)
    steps = pair(stride) if stride is not None else kernel
    x = pad2d(x, padding, float("-inf"))
    for dim, size, step in zip((2, 3), kernel, steps):
        x = x.unfold(dim, size, step).amax(dim=-1)
    return x


def avg_pool2d(x, k, stride=None, padding=0, count_include_pad=True):
    _check(x, k, padding)
    kernel = pair(k)
    steps = pair(stride) if stride is not None else kernel

    def sums(values):
        values = pad2d(values, padding)
        for dim, size, step in zip((2, 3), kernel, steps):
            values = values.unfold(dim, size, step).sum(dim=-1)
        return values

    return sums(x) / (kernel[0] * kernel[1] if count_include_pad else sums(torch.ones_like(x)))
