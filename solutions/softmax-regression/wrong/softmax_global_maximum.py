"""One maximum for the whole tensor: rows of small logits become 0/0.

exercise: softmax
caught-by: softmax_extremes
also-breaks: grads
told: one maximum was used for the whole tensor; each row needs its own
"""


def softmax(x, dim=-1):
    weights = (x - x.max()).exp()
    return weights / weights.sum(dim, keepdim=True)
