"""Truth minus prediction.

exercise: per_sample
caught-by: per_sample_values
told: truth minus prediction was used; it is prediction minus truth
"""


def per_sample_grads(X, t, w, b):
    p = torch.sigmoid(X @ w + b)
    delta = (t - p) * p * (1 - p)
    return delta.unsqueeze(1) * X, delta
