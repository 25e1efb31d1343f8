"""The frame comes from a product with a mask: 0 · ∞ is nan.

exercise: pad
caught-by: pad_value
also-breaks: lenet, pooling
"""

import torch
import torch.nn.functional as F


def pad2d(x, padding, value=0.0):
    ph, pw = pair(padding)
    frame = (pw, pw, ph, ph)
    inside = F.pad(torch.ones_like(x), frame)
    return F.pad(x, frame) + (1 - inside) * value
