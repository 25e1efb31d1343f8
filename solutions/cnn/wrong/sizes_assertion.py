"""AssertionError where ValueError is due.

exercise: sizes
caught-by: output_size_errors
"""


def conv_output_size(n, k, stride=1, padding=0, dilation=1):
    assert dilation * (k - 1) < n + 2 * padding
    return (n + 2 * padding - dilation * (k - 1) - 1) // stride + 1
