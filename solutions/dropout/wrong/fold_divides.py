"""The weight is divided by 1 − p.

exercise: standard
caught-by: fold_values
told: the weight was divided by 1 − p; it is multiplied
"""


def fold_standard_dropout(linear, p):
    if not 0 <= p <= 1:
        raise ValueError("p")
    folded = deepcopy(linear)
    folded.weight.data /= 1 - p
    return folded
