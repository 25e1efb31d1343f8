"""Sixty equal results, averaged: no loop over samples, and sixty times too slow.

exercise: per_sample
caught-by: per_sample_operations
"""


def per_sample_grads(X, t, w, b):
    gw, gb = 0.0, 0.0
    for _ in range(60):
        p = torch.sigmoid(X @ w + b)
        each = (p - t) * p * (1 - p) / 60
        gw, gb = gw + each.unsqueeze(1) * X, gb + each
    return gw, gb
