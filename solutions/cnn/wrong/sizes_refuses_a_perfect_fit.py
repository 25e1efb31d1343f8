"""A kernel as large as the picture is refused.

exercise: sizes
caught-by: output_size_counting, output_size_errors
"""


def conv_output_size(n, k, stride=1, padding=0, dilation=1):
    room = n + 2 * padding - dilation * (k - 1) - 1
    if room <= 0:
        raise ValueError("the kernel does not fit")
    return room // stride + 1
