"""Padding at one end only.

exercise: sizes
caught-by: output_size_values
told: the padding was counted once; it is added at both ends
"""


def conv_output_size(n, k, stride=1, padding=0, dilation=1):
    room = n + padding - dilation * (k - 1) - 1
    if room < 0:
        raise ValueError("the kernel does not fit")
    return room // stride + 1
