"""The bias is scaled as well.

exercise: standard
caught-by: fold_values
told: the bias was scaled as well; it was never dropped
"""


def fold_standard_dropout(linear, p):
    if not 0 <= p <= 1:
        raise ValueError("p")
    folded = deepcopy(linear)
    with torch.no_grad():
        for parameter in folded.parameters():
            parameter.mul_(1 - p)
    return folded
