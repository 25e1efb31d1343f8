"""Weight and bias of the new layer cannot be trained.

exercise: standard
caught-by: fold_new_layer
"""


def fold_standard_dropout(linear, p):
    if not 0 <= p <= 1:
        raise ValueError("p")
    return deepcopy(linear).requires_grad_(False).apply(lambda layer: layer.weight.mul_(1 - p))
