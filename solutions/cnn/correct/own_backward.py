"""A torch.autograd.Function: columns forward, F.fold backward."""

import torch
import torch.nn.functional as F


class Columns(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, stride, padding, dilation, groups, sizes):
        columns = F.unfold(x, weight.shape[2:], dilation, padding, stride).unflatten(1, (groups, -1))
        rows = weight.reshape(groups, len(weight) // groups, -1)
        ctx.save_for_backward(columns, rows)
        ctx.about = (x.shape, weight.shape, stride, padding, dilation)
        return (rows @ columns).reshape(len(x), len(weight), *sizes)

    @staticmethod
    def backward(ctx, upstream):
        columns, rows = ctx.saved_tensors
        shape, kernel, stride, padding, dilation = ctx.about
        upstream = upstream.reshape(len(upstream), rows.shape[0], rows.shape[1], -1)
        to_rows = torch.einsum("ngol,ngkl->gok", upstream, columns).reshape(kernel)
        to_columns = (rows.mT @ upstream).flatten(1, 2)
        to_x = F.fold(to_columns, shape[2:], kernel[2:], dilation, padding, stride)
        return to_x, to_rows, None, None, None, None, None


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    if x.shape[1] != weight.shape[1] * groups or weight.shape[0] % groups:
        raise ValueError("channels")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError("bias")
    stride, padding, dilation = pair(stride), pair(padding), pair(dilation)
    sizes = [
        conv_output_size(x.shape[2 + i], weight.shape[2 + i], stride[i], padding[i], dilation[i]) for i in range(2)
    ]
    result = Columns.apply(x, weight, stride, padding, dilation, groups, sizes)
    return result if bias is None else result + bias.reshape(-1, 1, 1)
