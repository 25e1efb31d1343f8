"""The gradients of the sum over the samples.

exercise: grads
caught-by: grads_values
also-breaks: model
told: the gradient of the sum over the samples was returned; the loss is their mean
"""


def softmax_regression_grads(X, y, W, b):
    logits = X @ W + b
    G = softmax(logits, dim=1) - one_hot(y, len(b), dtype=logits.dtype)
    return cross_entropy(logits, y), X.T @ G, G.sum(dim=0)
