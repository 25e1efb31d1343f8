"""Full attention with the local mask.

exercise: truncated
caught-by: truncated_memory, truncated_flops
"""


def truncated_self_attention(q, k, v, window):
    return scaled_dot_product_attention(q, k, v, local_mask(q.shape[-2], window))
