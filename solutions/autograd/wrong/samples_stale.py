"""What is in .grad of a parameter already is added to each gradient.

exercise: per_sample
caught-by: per_sample_parameters
"""

_right = per_sample_grads


def per_sample_grads(X, t, w, b):
    gw, gb = _right(X, t, w, b)
    if w.grad is not None:
        gw, gb = gw + w.grad, gb + b.grad
    return gw, gb
