"""The third number of a layer is dropped.

exercise: sizes
caught-by: receptive_field_counting
"""


def receptive_field(layers):
    size = jump = 1
    for k, stride, *_ in layers:
        size += (k - 1) * jump
        jump *= stride
    return size
