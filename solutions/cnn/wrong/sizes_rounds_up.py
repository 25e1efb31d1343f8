"""A last window that hangs over the edge is counted.

exercise: sizes
caught-by: output_size_values
told: the size was rounded up; a window that does not fit does not count
"""

import math


def conv_output_size(n, k, stride=1, padding=0, dilation=1):
    if dilation * (k - 1) + 1 > n + 2 * padding:
        raise ValueError("the kernel does not fit")
    return math.ceil((n + 2 * padding - dilation * (k - 1) - 1) / stride) + 1
