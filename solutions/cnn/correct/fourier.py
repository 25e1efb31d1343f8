"""Convolution as a product in the Fourier domain, where the kernel's transform is conjugated."""

import torch


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    (sh, sw), (dh, dw) = pair(stride), pair(dilation)
    if (
        x.shape[1] != weight.shape[1] * groups
        or len(weight) % groups
        or (bias is not None and bias.shape != weight.shape[:1])
    ):
        raise ValueError("channels, groups and bias do not fit together")
    x = pad2d(x, padding)
    spread = x.new_zeros(*weight.shape[:2], dh * (weight.shape[2] - 1) + 1, dw * (weight.shape[3] - 1) + 1)
    spread[:, :, ::dh, ::dw] = weight
    height, width = x.shape[2] - spread.shape[2] + 1, x.shape[3] - spread.shape[3] + 1
    if height < 1 or width < 1:
        raise ValueError("the kernel is larger than the picture")
    pictures = torch.fft.rfft2(x).unflatten(1, (groups, -1))
    kernels = torch.fft.rfft2(spread, s=x.shape[2:]).conj().unflatten(0, (groups, -1))
    product = torch.einsum("ngcij,gocij->ngoij", pictures, kernels).flatten(1, 2)
    result = torch.fft.irfft2(product, s=x.shape[2:])[:, :, :height:sh, :width:sw]
    return result.contiguous() if bias is None else result + bias[:, None, None]
