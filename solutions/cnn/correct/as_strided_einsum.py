"""All windows as one view by as_strided, contracted with einsum."""

import math

import torch


def strided_windows(x, kh, kw, sh, sw, dh=1, dw=1):
    n, c, h, w = x.shape
    oh, ow = (h - dh * (kh - 1) - 1) // sh + 1, (w - dw * (kw - 1) - 1) // sw + 1
    if oh < 1 or ow < 1:
        raise ValueError("no window fits")
    sn, sc, rows, columns = x.stride()
    return x.as_strided(
        (n, c, oh, ow, kh, kw),
        (sn, sc, rows * sh, columns * sw, rows * dh, columns * dw),
    )


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    o, c, kh, kw = weight.shape
    if x.shape[1] != c * groups or o % groups != 0:
        raise ValueError(f"cannot use {groups} groups")
    if bias is not None and bias.shape != (o,):
        raise ValueError("bias")
    windows = strided_windows(pad2d(x, padding), kh, kw, *pair(stride), *pair(dilation))
    windows = windows.unflatten(1, (groups, c))
    weight = weight.unflatten(0, (groups, o // groups))
    result = torch.einsum("ngcijab,gocab->ngoij", windows, weight).flatten(1, 2)
    if bias is not None:
        result = result + bias[None, :, None, None]
    return result


def pooled(x, k, stride, padding, value):
    k, p = pair(k), pair(padding)
    if any(2 * b > a for a, b in zip(k, p)):
        raise ValueError("padding is more than half the window")
    return strided_windows(pad2d(x, p, value), *k, *(k if stride is None else pair(stride)))


def max_pool2d(x, k, stride=None, padding=0):
    return pooled(x, k, stride, padding, -math.inf).flatten(-2).max(-1)[0]


def avg_pool2d(x, k, stride=None, padding=0, count_include_pad=True):
    sums = torch.einsum("ncijab->ncij", pooled(x, k, stride, padding, 0.0))
    if count_include_pad:
        kh, kw = pair(k)
        return sums / (kh * kw)
    return sums / torch.einsum("ncijab->ncij", pooled(torch.ones_like(x), k, stride, padding, 0.0))
