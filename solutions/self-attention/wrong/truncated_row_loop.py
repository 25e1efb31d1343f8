"""A loop over the rows.

exercise: truncated
caught-by: truncated_operations
"""


def truncated_self_attention(q, k, v, window):
    rows = []
    for i in range(q.shape[-2]):
        near = slice(max(0, i - window), i + window + 1)
        scores = (k[..., near, :] * q[..., i, None, :]).sum(-1) / math.sqrt(q.shape[-1])
        weights = scores.softmax(-1)
        rows.append((weights.unsqueeze(-1) * v[..., near, :]).sum(-2))
    return torch.stack(rows, -2)
