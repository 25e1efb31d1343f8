"""The whole softmax under no_grad.

exercise: softmax
caught-by: softmax_values
"""


def softmax(x, dim=-1):
    with torch.no_grad():
        weights = (x - x.amax(dim, keepdim=True)).exp()
        return weights / weights.sum(dim, keepdim=True)
