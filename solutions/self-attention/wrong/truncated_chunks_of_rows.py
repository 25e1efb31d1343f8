"""Chunks of rows, with all keys.

exercise: truncated
caught-by: truncated_flops
"""


def truncated_self_attention(q, k, v, window):
    mask = (torch.arange(64)[:, None], torch.arange(k.shape[-2]))
    parts = []
    for start in range(0, q.shape[-2], 64):
        rows = q[..., start : start + 64, :]
        near = (mask[0][: rows.shape[-2]] + start - mask[1]).abs() <= window
        parts.append(scaled_dot_product_attention(rows, k, v, near))
    return torch.cat(parts, -2)
