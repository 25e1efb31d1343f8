"""torch.full without a dtype: always float32.

exercise: pad
caught-by: pad_values
also-breaks: bug, conv2d, filters, lenet, module, pooling
"""

import torch


def pad2d(x, padding, value=0.0):
    ph, pw = pair(padding)
    h, w = x.shape[-2:]
    padded = torch.full((*x.shape[:-2], h + 2 * ph, w + 2 * pw), float(value))
    padded[..., ph : ph + h, pw : pw + w] = x
    return padded
