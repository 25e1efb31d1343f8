"""F.pad takes the last dimension first.

exercise: pad
caught-by: pad_values
also-breaks: bug, conv2d, filters, module, pooling
told: height and width were exchanged; a pair is (vertical, horizontal)
"""

import torch.nn.functional as F


def pad2d(x, padding, value=0.0):
    ph, pw = pair(padding)
    return F.pad(x, (ph, ph, pw, pw), value=value)
