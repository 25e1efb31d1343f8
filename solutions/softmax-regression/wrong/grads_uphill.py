"""Truth minus prediction.

exercise: grads
caught-by: grads_values
also-breaks: model
told: truth minus prediction was used; it is prediction minus truth
"""


def softmax_regression_grads(X, y, W, b):
    logits = X @ W + b
    G = (one_hot(y, len(b), dtype=logits.dtype) - softmax(logits, dim=1)) / len(X)
    return cross_entropy(logits, y), X.T @ G, G.sum(dim=0)
