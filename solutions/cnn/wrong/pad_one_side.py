"""A frame below and on the right only.

exercise: pad
caught-by: pad_values
also-breaks: bug, conv2d, filters, lenet, module, pooling
told: the frame is on one side only
"""

import torch.nn.functional as F


def pad2d(x, padding, value=0.0):
    ph, pw = pair(padding)
    return F.pad(x, (0, pw, 0, ph), value=value)
