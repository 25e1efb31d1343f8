"""The factor 2 of the square, without the ½ of the loss.

exercise: per_sample
caught-by: per_sample_values
told: the ½ in front of the square was forgotten
"""


def per_sample_grads(X, t, w, b):
    p = torch.sigmoid(X @ w + b)
    delta = 2 * (p - t) * p * (1 - p)
    return delta.unsqueeze(1) * X, delta
