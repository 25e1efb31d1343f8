"""dim is ignored: always the last one.

exercise: softmax
caught-by: softmax_values
told: the softmax was taken along another dimension than dim
"""


def softmax(x, dim=-1):
    weights = (x - x.amax(-1, keepdim=True)).exp()
    return weights / weights.sum(-1, keepdim=True)
