"""A softmax of its own, without the maximum.

exercise: grads
caught-by: grads_extremes
"""


def softmax_regression_grads(X, y, W, b):
    exponentials = (X @ W + b).exp()
    p = exponentials / exponentials.sum(dim=1, keepdim=True)
    rows = torch.arange(len(y))
    loss = -p[rows, y].log().mean()
    G = p.clone()
    G[rows, y] -= 1
    return loss, X.T @ G / len(y), G.sum(dim=0) / len(y)
