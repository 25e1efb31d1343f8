"""Two hundred equal results, averaged: no loop over samples, and far too slow.

exercise: per_sample
caught-by: per_sample_operations
"""


def per_sample_grads(X, t, w, b):
    gw, gb = 0.0, 0.0
    for _ in range(200):
        p = torch.sigmoid(X @ w + b)
        each = (p - t) * p * (1 - p) / 200
        gw, gb = gw + each.unsqueeze(1) * X, gb + each
    return gw, gb
