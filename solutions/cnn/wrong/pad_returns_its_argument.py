"""Without padding the argument itself comes back.

exercise: pad
caught-by: pad_values
"""

import torch.nn.functional as F


def pad2d(x, padding, value=0.0):
    ph, pw = pair(padding)
    return F.pad(x, (pw, pw, ph, ph), value=value) if ph or pw else x
