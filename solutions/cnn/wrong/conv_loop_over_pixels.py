"""The slow loop: one small product for each output pixel.

exercise: conv2d
caught-by: conv2d_operations
may-break: lenet
"""

import torch


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    (sh, sw), (ph, pw), (dh, dw) = pair(stride), pair(padding), pair(dilation)
    o, c, kh, kw = weight.shape
    if x.shape[1] != c * groups or o % groups or (bias is not None and bias.shape != (o,)):
        raise ValueError("channels, groups and bias do not fit together")
    x = pad2d(x, padding)
    if x.shape[2] < dh * (kh - 1) + 1 or x.shape[3] < dw * (kw - 1) + 1:
        raise ValueError("no window fits")
    height = (x.shape[2] - dh * (kh - 1) - 1) // sh + 1
    width = (x.shape[3] - dw * (kw - 1) - 1) // sw + 1
    rows = weight.reshape(groups, o // groups, -1)
    pixels = []
    for i in range(height):
        for j in range(width):
            window = x[:, :, i * sh : i * sh + dh * (kh - 1) + 1 : dh, j * sw : j * sw + dw * (kw - 1) + 1 : dw]
            pixels.append(torch.einsum("gok,ngk->ngo", rows, window.reshape(len(x), groups, -1)).flatten(1))
    result = torch.stack(pixels, dim=-1).reshape(len(x), o, height, width)
    return result if bias is None else result + bias.reshape(-1, 1, 1)
