"""Everything in float64 inside, and rounded once at the end."""

import math

import torch
import torch.nn.functional as F


def pad2d(x, padding, value=0.0):
    vertical, horizontal = pair(padding)
    return F.pad(x, (horizontal, horizontal, vertical, vertical), mode="constant", value=value)


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    size = weight.shape[2:]
    if x.shape[1] / groups != weight.shape[1] or weight.shape[0] % groups > 0:
        raise ValueError("channels")
    if bias is not None and list(bias.shape) != [weight.shape[0]]:
        raise ValueError("bias")
    heights, widths = (
        conv_output_size(n, k, s, p, d)
        for n, k, s, p, d in zip(x.shape[2:], size, pair(stride), pair(padding), pair(dilation))
    )
    columns = F.unfold(x.double(), size, dilation, padding, stride).chunk(groups, dim=1)
    kernels = weight.double().flatten(1).chunk(groups)
    total = torch.cat([kernel @ column for kernel, column in zip(kernels, columns)], dim=1)
    if bias is not None:
        total = total + bias.double()[:, None]
    return total.unflatten(-1, (heights, widths)).to(x.dtype)


def avg_pool2d(x, k, stride=None, padding=0, count_include_pad=True):
    if 2 * pair(padding)[0] > pair(k)[0] or 2 * pair(padding)[1] > pair(k)[1]:
        raise ValueError("padding")
    n, c = x.shape[:2]
    kernel = torch.ones(1, 1, *pair(k), dtype=torch.float64)
    step = k if stride is None else stride
    total = conv2d(x.double().reshape(n * c, 1, *x.shape[2:]), kernel, stride=step, padding=padding)
    count = math.prod(pair(k))
    if not count_include_pad:
        count = conv2d(torch.ones(1, 1, *x.shape[2:], dtype=torch.float64), kernel, stride=step, padding=padding)
    return (total / count).unflatten(0, (n, c)).squeeze(2).to(x.dtype)
