"""The softmax over all entries of the tensor.

exercise: softmax
caught-by: softmax_values
also-breaks: grads, model
"""


def softmax(x, dim=-1):
    weights = (x - x.max()).exp()
    return weights / weights.sum()
