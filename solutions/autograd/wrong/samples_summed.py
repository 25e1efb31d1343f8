"""The gradient of the whole batch.

exercise: per_sample
caught-by: per_sample_values
told: the gradient was summed over the samples; each keeps its own
"""


def per_sample_grads(X, t, w, b):
    p = torch.sigmoid(X @ w + b)
    delta = (p - t) * p * (1 - p)
    return X.T @ delta, delta.sum()
