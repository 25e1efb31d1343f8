"""A sigmoid that is nan for large numbers.

exercise: per_sample
caught-by: per_sample_extremes
"""


def per_sample_grads(X, t, w, b):
    e = torch.exp(X @ w + b)
    p = e / (1 + e)
    delta = (p - t) * p * (1 - p)
    return delta.unsqueeze(1) * X, delta
