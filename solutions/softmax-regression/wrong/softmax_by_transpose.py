"""Another dimension than the last by way of the transpose, which only matrices have.

exercise: softmax
caught-by: softmax_dims
"""


def softmax(x, dim=-1):
    if dim not in (-1, x.ndim - 1):
        return softmax(x.t()).t()
    weights = (x - x.amax(-1, keepdim=True)).exp()
    return weights / weights.sum(-1, keepdim=True)
