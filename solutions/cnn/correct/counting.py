"""Sizes by counting starting positions, receptive fields from the last layer back, padding by concatenation."""

import torch


def conv_output_size(n, k, stride=1, padding=0, dilation=1):
    starts = range(0, n + 2 * padding - dilation * (k - 1), stride)
    if not starts:
        raise ValueError("no window fits")
    return len(starts)


def receptive_field(layers):
    field = 1
    for layer in reversed(list(layers)):
        kernel, stride = layer[0], layer[1]
        dilation = layer[2] if len(layer) == 3 else 1
        field = (field - 1) * stride + dilation * (kernel - 1) + 1
    return field


def pad2d(x, padding, value=0.0):
    ph, pw = pair(padding)
    side = torch.full((*x.shape[:-1], pw), value, dtype=x.dtype)
    x = torch.cat((side, x, side), dim=-1)
    lid = torch.full((*x.shape[:-2], ph, x.shape[-1]), value, dtype=x.dtype)
    return torch.cat((lid, x, lid), dim=-2)
