"""Fields as if every stride were 1.

exercise: sizes
caught-by: receptive_field_values
told: the strides were ignored
"""


def receptive_field(layers):
    return 1 + sum((layer[0] - 1) * (layer[2] if len(layer) > 2 else 1) for layer in layers)
