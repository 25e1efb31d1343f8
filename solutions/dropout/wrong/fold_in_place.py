"""The layer that was handed in is changed and returned.

exercise: standard
caught-by: fold_new_layer, fold_network
"""


def fold_standard_dropout(linear, p):
    if not 0 <= p <= 1:
        raise ValueError("p")
    linear.weight.data *= 1 - p
    return linear
