"""A layer and a factor in front of it.

exercise: standard
caught-by: fold_values
"""


def fold_standard_dropout(linear, p):
    if not 0 <= p <= 1:
        raise ValueError("p")
    return nn.Sequential(StandardDropout(p).eval(), deepcopy(linear))
