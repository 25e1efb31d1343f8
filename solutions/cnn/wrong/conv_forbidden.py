"""PyTorch's own, under another name.

exercise: conv2d
caught-by: conv2d_values
also-breaks: bug, filters, lenet, module
"""

import torch


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    return torch.ops.aten.convolution(
        x, weight, bias, pair(stride), pair(padding), pair(dilation), False, (0, 0), groups
    )
