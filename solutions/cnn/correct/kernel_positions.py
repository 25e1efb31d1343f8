"""A loop over the positions of the kernel: each shifts the whole picture."""

import torch


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    (sh, sw), (ph, pw), (dh, dw) = pair(stride), pair(padding), pair(dilation)
    n, c, h, w = x.shape
    o, cg, kh, kw = weight.shape
    if c != cg * groups or o % groups:
        raise ValueError
    if bias is not None and bias.shape != (o,):
        raise ValueError
    oh = conv_output_size(h, kh, sh, ph, dh)
    ow = conv_output_size(w, kw, sw, pw, dw)
    x = pad2d(x, (ph, pw))
    out = 0
    for i in range(kh):
        for j in range(kw):
            top, left = i * dh, j * dw
            part = x[:, :, top : top + (oh - 1) * sh + 1 : sh, left : left + (ow - 1) * sw + 1 : sw]
            part = part.reshape(n, groups, cg, oh * ow)
            out = out + weight[:, :, i, j].reshape(groups, o // groups, cg) @ part
    out = out.reshape(n, o, oh, ow)
    return out if bias is None else out + bias.reshape(o, 1, 1)


def _parts(x, k, stride, padding, value):
    (kh, kw), (ph, pw) = pair(k), pair(padding)
    sh, sw = pair(k) if stride is None else pair(stride)
    if 2 * ph > kh or 2 * pw > kw:
        raise ValueError
    oh = conv_output_size(x.shape[-2], kh, sh, ph)
    ow = conv_output_size(x.shape[-1], kw, sw, pw)
    x = pad2d(x, (ph, pw), value)
    return [
        x[..., i : i + (oh - 1) * sh + 1 : sh, j : j + (ow - 1) * sw + 1 : sw] for i in range(kh) for j in range(kw)
    ]


def max_pool2d(x, k, stride=None, padding=0):
    first, *others = _parts(x, k, stride, padding, float("-inf"))
    best = first.clone()
    for part in others:
        best = torch.maximum(best, part)
    return best


def avg_pool2d(x, k, stride=None, padding=0, count_include_pad=True):
    parts = _parts(x, k, stride, padding, 0)
    count = len(parts) if count_include_pad else sum(_parts(torch.ones_like(x), k, stride, padding, 0))
    return sum(parts) / count
