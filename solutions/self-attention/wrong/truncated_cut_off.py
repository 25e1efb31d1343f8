"""Weights of the whole sequence, cut off.

exercise: truncated
caught-by: truncated_values
told: the weights of the whole sequence were cut off, so that they no longer sum to one
"""


def truncated_self_attention(q, k, v, window):
    _, weights = scaled_dot_product_attention(q, k, v, return_weights=True)
    return (weights * local_mask(q.shape[-2], window)) @ v
