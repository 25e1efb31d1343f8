"""The dilated kernel is taken to be d · k long.

exercise: sizes
caught-by: output_size_values
"""


def conv_output_size(n, k, stride=1, padding=0, dilation=1):
    room = n + 2 * padding - dilation * k
    if room < 0:
        raise ValueError("the kernel does not fit")
    return room // stride + 1
