"""A check that compares with the slow loop of the text, on one hard case for each kind of bug."""

import itertools

import torch


def slow(x, weight, bias, stride, padding, dilation, groups):
    (sh, sw), (ph, pw), (dh, dw) = stride, padding, dilation
    padded = torch.zeros(*x.shape[:2], x.shape[2] + 2 * ph, x.shape[3] + 2 * pw, dtype=x.dtype)
    padded[:, :, ph : ph + x.shape[2], pw : pw + x.shape[3]] = x
    O, cg, kh, kw = weight.shape
    height = (padded.shape[2] - dh * (kh - 1) - 1) // sh + 1
    width = (padded.shape[3] - dw * (kw - 1) - 1) // sw + 1
    result = torch.zeros(len(x), O, height, width, dtype=x.dtype)
    for o, i, j in itertools.product(range(O), range(height), range(width)):
        first = o // (O // groups) * cg
        rows = slice(i * sh, i * sh + dh * (kh - 1) + 1, dh)
        columns = slice(j * sw, j * sw + dw * (kw - 1) + 1, dw)
        window = padded[:, first : first + cg, rows, columns]
        result[:, o, i, j] = (window * weight[o]).sum((1, 2, 3)) + bias[o]
    return result


def check_conv2d(fn):
    cases = [
        ((2, 1), (1, 2), (1, 2), 2),
        ((1, 1), (0, 0), (2, 1), 1),
        ((1, 2), (2, 0), (1, 1), 1),
        ((3, 2), (2, 1), (1, 3), 2),
    ]
    for stride, padding, dilation, groups in cases:
        for size in ((3, 2), (3, 3)):
            x = torch.rand(2, 4, 8, 9, dtype=torch.float64) - 0.5
            weight = torch.rand(4, 4 // groups, *size, dtype=torch.float64)
            bias = torch.rand(4, dtype=torch.float64)
            due = slow(x, weight, bias, stride, padding, dilation, groups)
            got = fn(x, weight, bias, stride, padding, dilation, groups)
            if got.shape != due.shape or got.dtype != due.dtype:
                raise AssertionError("shape or dtype")
            if (got - due).abs().max() > 1e-9:
                raise AssertionError("values")
