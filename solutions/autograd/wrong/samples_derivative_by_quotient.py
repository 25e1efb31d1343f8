"""The derivative as exp(−z) / (1 + exp(−z))²: ∞ / ∞ for large negative z.

exercise: per_sample
caught-by: per_sample_extremes
"""


def per_sample_grads(X, t, w, b):
    e = torch.exp(-(X @ w + b))
    p = 1 / (1 + e)
    delta = (p - t) * e / (1 + e) ** 2
    return delta.unsqueeze(1) * X, delta
