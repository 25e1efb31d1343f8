"""exp of raw logits.

exercise: softmax
caught-by: softmax_shift, softmax_extremes
also-breaks: grads
"""


def softmax(x, dim=-1):
    weights = x.exp()
    return weights / weights.sum(dim, keepdim=True)
