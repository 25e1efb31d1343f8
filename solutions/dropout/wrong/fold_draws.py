"""A new nn.Linear draws weights that nobody needs.

exercise: standard
caught-by: fold_side_effects
"""


def fold_standard_dropout(linear, p):
    if not 0 <= p <= 1:
        raise ValueError("p")
    folded = nn.Linear(linear.in_features, linear.out_features, linear.bias is not None, dtype=linear.weight.dtype)
    with torch.no_grad():
        folded.weight.copy_(linear.weight * (1 - p))
        if linear.bias is not None:
            folded.bias.copy_(linear.bias)
    return folded
