"""An empty stack is an error.

exercise: sizes
caught-by: receptive_field_counting
"""


def receptive_field(layers):
    field = layers[0][0] if len(layers[0]) == 2 else layers[0][2] * (layers[0][0] - 1) + 1
    jump = layers[0][1]
    for k, stride, *rest in layers[1:]:
        field += (k - 1) * (rest[0] if rest else 1) * jump
        jump *= stride
    return field
