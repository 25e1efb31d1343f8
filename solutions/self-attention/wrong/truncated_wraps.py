"""The sequence is a ring.

exercise: truncated
caught-by: truncated_values
"""


def truncated_self_attention(q, k, v, window):
    n, d = q.shape[-2:]
    window = min(window, (n - 1) // 2)
    offsets = range(-window, window + 1)
    scores = torch.stack([(q * k.roll(-o, -2)).sum(-1) for o in offsets], -1) / math.sqrt(d)
    weights = scores.softmax(-1)
    return sum(weights[..., c, None] * v.roll(-o, -2) for c, o in enumerate(offsets))
