"""Evaluation multiplies by 1 − p, as in the older convention.

exercise: dropout
caught-by: dropout_evaluation
also-breaks: module, dropout2d, mlp
told: evaluation multiplied by 1 − p; here nothing is left to be scaled
"""


def dropout(x, p=0.5, training=True, generator=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    mask = dropout_mask(x.shape, p, generator=generator, dtype=x.dtype)
    return x * mask if training else x * (1 - p)
