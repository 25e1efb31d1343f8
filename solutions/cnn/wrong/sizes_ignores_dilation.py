"""The formula without dilation.

exercise: sizes
caught-by: output_size_values
told: the dilation was ignored
"""


def conv_output_size(n, k, stride=1, padding=0, dilation=1):
    if k > n + 2 * padding:
        raise ValueError("the kernel does not fit")
    return (n + 2 * padding - k) // stride + 1
