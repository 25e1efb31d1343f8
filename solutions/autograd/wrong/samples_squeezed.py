"""squeeze() takes more than the last dimension away.

exercise: per_sample
caught-by: per_sample_sizes
"""


def per_sample_grads(X, t, w, b):
    p = torch.sigmoid(X @ w.unsqueeze(1) + b)
    delta = (p - t.unsqueeze(1)) * p * (1 - p)
    return (delta * X).squeeze(), delta.squeeze()
