"""A deviation of 0.001 for every layer.

exercise: module
caught-by: module_init
also-breaks: lenet
"""

import torch
from torch import nn


class Conv2d(nn.Module):
    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True):
        super().__init__()
        if in_channels % groups or out_channels % groups:
            raise ValueError("groups must divide the channels")
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups
        weight = torch.empty(out_channels, in_channels // groups, *pair(kernel_size))
        bound = weight[0].numel() ** -0.5
        self.weight = nn.Parameter(weight.normal_(0, 0.001))
        self.bias = nn.Parameter(torch.empty(out_channels).uniform_(-bound, bound)) if bias else None

    def forward(self, x):
        return conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
