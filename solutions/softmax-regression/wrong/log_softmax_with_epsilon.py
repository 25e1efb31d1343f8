"""A small number against log 0.

exercise: softmax
caught-by: log_softmax_extremes
also-breaks: cross_entropy, grads
told: 1e-9 was added before the logarithm
"""


def log_softmax(x, dim=-1):
    return (softmax(x, dim) + 1e-9).log()
