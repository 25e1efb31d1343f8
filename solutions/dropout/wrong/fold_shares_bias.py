"""The new layer has the bias of the old one, not a copy.

exercise: standard
caught-by: fold_new_layer
"""


def fold_standard_dropout(linear, p):
    if not 0 <= p <= 1:
        raise ValueError("p")
    folded = deepcopy(linear)
    folded.weight.data *= 1 - p
    folded.bias = linear.bias
    return folded
