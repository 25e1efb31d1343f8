"""One gradient for each sample, of the mean loss.

exercise: per_sample
caught-by: per_sample_values
told: the gradients were divided by n, as for a mean
"""


def per_sample_grads(X, t, w, b):
    p = torch.sigmoid(X @ w + b)
    delta = (p - t) * p * (1 - p) / len(X)
    return delta.unsqueeze(1) * X, delta
