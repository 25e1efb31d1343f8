"""Full attention.

exercise: truncated
caught-by: truncated_values
told: the window was ignored
"""


def truncated_self_attention(q, k, v, window):
    return scaled_dot_product_attention(q, k, v)
