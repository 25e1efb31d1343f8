"""Integers become floats.

exercise: pad
caught-by: pad_dtype
"""

import torch.nn.functional as F


def pad2d(x, padding, value=0.0):
    ph, pw = pair(padding)
    x = x if x.is_floating_point() else x.float()
    return F.pad(x, (pw, pw, ph, ph), value=value)
