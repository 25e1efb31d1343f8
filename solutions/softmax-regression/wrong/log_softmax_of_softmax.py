"""The logarithm of a softmax that has underflowed.

exercise: softmax
caught-by: log_softmax_extremes
also-breaks: cross_entropy, grads
told: the logarithm was taken of a softmax that had underflowed
"""


def log_softmax(x, dim=-1):
    return softmax(x, dim).log()
