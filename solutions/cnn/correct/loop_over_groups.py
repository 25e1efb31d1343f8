"""One matrix product a group, put side by side; windows by two calls of unfold."""

import torch


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    N, C, H, W = x.shape
    O, Cg, KH, KW = weight.shape
    if groups * Cg != C:
        raise ValueError("C != groups * weight.shape[1]")
    if O % groups:
        raise ValueError("O % groups != 0")
    if bias is not None and (bias.dim() != 1 or bias.size(0) != O):
        raise ValueError("bias must be (O,)")
    SH, SW = pair(stride)
    DH, DW = pair(dilation)
    xp = pad2d(x, padding)
    if DH * (KH - 1) >= xp.size(2) or DW * (KW - 1) >= xp.size(3):
        raise ValueError("empty output")
    win = xp.unfold(2, DH * (KH - 1) + 1, SH)[..., ::DH].unfold(3, DW * (KW - 1) + 1, SW)[..., ::DW]
    outs = []
    for g in range(groups):
        w_g = weight[g * (O // groups) : (g + 1) * (O // groups)]
        x_g = win[:, g * Cg : (g + 1) * Cg]
        outs.append(torch.tensordot(x_g, w_g, dims=((1, 4, 5), (1, 2, 3))).permute(0, 3, 1, 2))
    out = torch.cat(outs, dim=1)
    if bias is not None:
        out = out + bias.view(1, O, 1, 1) if bias.is_contiguous() else out + bias.reshape(1, O, 1, 1)
    return out
