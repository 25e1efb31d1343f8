"""The gradient of the bias is divided by n twice.

exercise: grads
caught-by: grads_values
also-breaks: model
told: db was divided by n twice
"""


def softmax_regression_grads(X, y, W, b):
    logits = X @ W + b
    G = (softmax(logits, dim=1) - one_hot(y, len(b), dtype=logits.dtype)) / len(X)
    return cross_entropy(logits, y), X.T @ G, G.mean(dim=0)
