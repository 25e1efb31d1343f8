"""The first window is forgotten.

exercise: sizes
caught-by: output_size_values
told: the plus 1 is missing; it counts the first window
"""


def conv_output_size(n, k, stride=1, padding=0, dilation=1):
    if dilation * (k - 1) + 1 > n + 2 * padding:
        raise ValueError("the kernel does not fit")
    return (n + 2 * padding - dilation * (k - 1) - 1) // stride
