"""Nothing flows back from windows larger than the sequence.

exercise: truncated
caught-by: truncated_gradients
"""


def truncated_self_attention(q, k, v, window):
    n, d = q.shape[-2:]
    if window >= n:
        k = k.detach()
    window = min(window, n - 1)
    offsets = range(2 * window + 1)
    keys, values = (F.pad(x, (0, 0, window, window)) for x in (k, v))
    scores = torch.stack([(q * keys[..., o : o + n, :]).sum(dim=-1) for o in offsets], dim=-1) / math.sqrt(d)
    position = torch.arange(n)[:, None] + torch.arange(-window, window + 1)
    weights = scores.masked_fill((position < 0) | (position >= n), -math.inf).softmax(dim=-1)
    return sum((weights[..., o, None] * values[..., o : o + n, :] for o in offsets))
