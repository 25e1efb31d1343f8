"""Layers are popped off the caller's list.

exercise: sizes
caught-by: receptive_field_values
"""


def receptive_field(layers):
    field = 1
    while layers:
        k, stride, *rest = layers.pop()
        field = (field - 1) * stride + (rest[0] if rest else 1) * (k - 1) + 1
    return field
