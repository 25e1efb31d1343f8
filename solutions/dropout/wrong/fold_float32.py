"""The new layer is always float32.

exercise: standard
caught-by: fold_values
"""


def fold_standard_dropout(linear, p):
    if not 0 <= p <= 1:
        raise ValueError("p")
    folded = nn.utils.skip_init(nn.Linear, linear.in_features, linear.out_features)
    folded.weight.data.copy_(linear.weight.data * (1 - p))
    folded.bias.data.copy_(linear.bias.data)
    return folded
