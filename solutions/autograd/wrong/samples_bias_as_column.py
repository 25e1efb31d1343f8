"""gb has a second dimension.

exercise: per_sample
caught-by: per_sample_values
"""


def per_sample_grads(X, t, w, b):
    p = torch.sigmoid(X @ w.unsqueeze(1) + b)
    delta = (p - t.unsqueeze(1)) * p * (1 - p)
    return delta * X, delta
