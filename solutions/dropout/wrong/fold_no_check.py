"""A bad p is accepted.

exercise: standard
caught-by: fold_kinds
"""


def fold_standard_dropout(linear, p):
    folded = deepcopy(linear)
    folded.weight.data *= 1 - p
    return folded
