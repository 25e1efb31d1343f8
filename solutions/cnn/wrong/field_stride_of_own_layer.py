"""The jump is enlarged before it is used.

exercise: sizes
caught-by: receptive_field_values
told: a stride was applied to its own layer; it counts for the layers after it
"""


def receptive_field(layers):
    size = jump = 1
    for k, stride, *rest in layers:
        jump *= stride
        size += (k - 1) * (rest[0] if rest else 1) * jump
    return size
