"""Blocks that don't look beyond their border.

exercise: truncated
caught-by: truncated_values
"""


def truncated_self_attention(q, k, v, window):
    n, size = q.shape[-2], 2 * window + 1
    parts = [scaled_dot_product_attention(*(x[..., s : s + size, :] for x in (q, k, v))) for s in range(0, n, size)]
    return torch.cat(parts, -2)
