"""The gradient of cross-entropy: p − t.

exercise: per_sample
caught-by: per_sample_values
told: the derivative of the sigmoid is missing
"""


def per_sample_grads(X, t, w, b):
    delta = torch.sigmoid(X @ w + b) - t
    return delta.unsqueeze(1) * X, delta
