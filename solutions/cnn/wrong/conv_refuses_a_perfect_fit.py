"""A kernel as large as the picture is refused.

exercise: conv2d
caught-by: conv2d_sizes, conv2d_errors
"""

import torch


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    (sh, sw), (ph, pw), (dh, dw) = pair(stride), pair(padding), pair(dilation)
    o, c, kh, kw = weight.shape
    if x.shape[1] != c * groups or o % groups or (bias is not None and bias.shape != (o,)):
        raise ValueError("channels, groups and bias do not fit together")
    x = pad2d(x, padding)
    if x.shape[2] <= dh * (kh - 1) + 1 or x.shape[3] <= dw * (kw - 1) + 1:
        raise ValueError("no window fits")
    windows = x.unfold(2, dh * (kh - 1) + 1, sh).unfold(3, dw * (kw - 1) + 1, sw)[..., ::dh, ::dw]
    windows = windows.unflatten(1, (groups, -1))
    kernels = weight.unflatten(0, (groups, -1))
    result = torch.einsum("ngcijab,gocab->ngoij", windows, kernels).flatten(1, 2)
    return result if bias is None else result + bias.reshape(-1, 1, 1)
