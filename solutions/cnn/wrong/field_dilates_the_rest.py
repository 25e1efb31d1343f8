"""Dilation enlarges the jump, as a stride does.

exercise: sizes
caught-by: receptive_field_counting
"""


def receptive_field(layers):
    size = jump = 1
    for k, stride, *rest in layers:
        jump *= rest[0] if rest else 1
        size += (k - 1) * jump
        jump *= stride
    return size
