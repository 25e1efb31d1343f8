"""A layer whose reset_parameters draws like Xavier, in a LeNet with ReLU and mean pooling, layers registered backwards."""

import math

import torch
import torch.nn.functional as F
from torch import nn


class Conv2d(nn.Module):
    __constants__ = ["stride", "padding", "dilation", "groups"]

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True):
        if in_channels % groups or out_channels % groups:
            raise ValueError("groups")
        super().__init__()
        self.in_channels, self.out_channels, self.kernel_size = in_channels, out_channels, pair(kernel_size)
        self.stride, self.padding, self.dilation, self.groups = map(pair, (stride, padding, dilation, (groups, groups)))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels // groups, *self.kernel_size))
        self.reset_parameters()

    def reset_parameters(self):
        fan_in = self.weight[0].numel()
        nn.init.normal_(self.weight, std=1 / math.sqrt(fan_in))
        if self.bias is not None:
            nn.init.uniform_(self.bias, -0.1 / math.sqrt(fan_in), 0.1 / math.sqrt(fan_in))

    def extra_repr(self):
        return f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"

    def forward(self, input):
        return conv2d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, groups=self.groups[0])


class LeNet(nn.Module):
    def __init__(self, num_classes=10, in_channels=1):
        super().__init__()
        self.output = nn.Linear(84, num_classes)
        self.hidden = nn.ModuleList([nn.Linear(120, 84), nn.Linear(400, 120)])
        self.maps = nn.ModuleDict({"large": Conv2d(in_channels, 6, 5, 1, 2), "small": Conv2d(6, 16, (5, 5))})

    def forward(self, x):
        for maps in self.maps.values():
            x = avg_pool2d(F.relu(maps(x)), (2, 2), stride=2)
        x = x.view(x.shape[0], 400) if x.is_contiguous() else x.reshape(x.shape[0], 400)
        for layer in reversed(self.hidden):
            x = layer(x).clamp(min=0)
        return self.output(x)
