"""F.unfold makes the columns; a matrix product for all groups, and pooling over the same columns."""

import math

import torch
import torch.nn.functional as F


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    o, c, kh, kw = weight.shape
    stride, padding, dilation = pair(stride), pair(padding), pair(dilation)
    if x.size(1) != c * groups:
        raise ValueError("wrong number of channels")
    if o % groups != 0:
        raise ValueError("groups must divide the output channels")
    if bias is not None and tuple(bias.shape) != (o,):
        raise ValueError("wrong bias")
    h = conv_output_size(x.size(2), kh, stride[0], padding[0], dilation[0])
    w = conv_output_size(x.size(3), kw, stride[1], padding[1], dilation[1])
    columns = F.unfold(x, (kh, kw), dilation=dilation, padding=padding, stride=stride)
    columns = columns.view(len(x), groups, c * kh * kw, h * w)
    out = torch.einsum("gok,ngkl->ngol", weight.reshape(groups, o // groups, c * kh * kw), columns)
    out = out.reshape(len(x), o, h, w)
    if bias is not None:
        out = out + bias.reshape(1, o, 1, 1)
    return out


def _columns(x, k, stride, padding, value):
    k, padding = pair(k), pair(padding)
    stride = k if stride is None else pair(stride)
    if padding[0] > k[0] / 2 or padding[1] > k[1] / 2:
        raise ValueError("too much padding")
    x = F.pad(x, (padding[1], padding[1], padding[0], padding[0]), value=value)
    n, c, h, w = x.shape
    out = conv_output_size(h, k[0], stride[0]), conv_output_size(w, k[1], stride[1])
    return F.unfold(x, k, stride=stride).view(n, c, k[0] * k[1], *out)


def max_pool2d(x, k, stride=None, padding=0):
    return _columns(x, k, stride, padding, -math.inf).max(dim=2).values


def avg_pool2d(x, k, stride=None, padding=0, count_include_pad=True):
    total = _columns(x, k, stride, padding, 0.0).sum(2)
    ones = torch.ones_like(x)
    if count_include_pad:
        return total / math.prod(pair(k))
    return total / _columns(ones, k, stride, padding, 0.0).sum(2)
