"""The softmax over all entries of the tensor.

exercise: softmax
caught-by: softmax_values
also-breaks: grads, model
told: the softmax was taken over the whole tensor, not along dim
"""


def softmax(x, dim=-1):
    weights = (x - x.max()).exp()
    return weights / weights.sum()
