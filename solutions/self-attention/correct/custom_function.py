"""A masked softmax as a torch.autograd.Function with a hand-written backward."""


class _MaskedSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx, scores, mask):
        scores = scores.masked_fill(~mask, -torch.inf)
        peak = scores.amax(-1, keepdim=True)
        parts = (scores - peak.masked_fill(peak.isinf(), 0)).exp()
        total = parts.sum(-1, keepdim=True)
        weights = parts / total.masked_fill(total == 0, 1)
        ctx.save_for_backward(weights)
        return weights

    @staticmethod
    def backward(ctx, upstream):
        (weights,) = ctx.saved_tensors
        return weights * (upstream - (weights * upstream).sum(-1, keepdim=True)), None


def scaled_dot_product_attention(q, k, v, mask=None, *, return_weights=False):
    if mask is None:
        mask = torch.ones(1, 1, dtype=torch.bool)
    if mask.dtype != torch.bool:
        raise TypeError("mask")
    weights = _MaskedSoftmax.apply(q @ k.transpose(-2, -1) / math.sqrt(k.shape[-1]), mask)
    return (weights @ v, weights) if return_weights else weights @ v


def truncated_self_attention(q, k, v, window):
    n = q.shape[-2]
    window = min(window, n - 1)
    place = torch.arange(n)[:, None] + torch.arange(2 * window + 1)
    keys, values = F.pad(k, (0, 0, window, window)), F.pad(v, (0, 0, window, window))
    inside = (place >= window) & (place < n + window)
    scores = torch.stack([torch.linalg.vecdot(q, keys.narrow(-2, shift, n)) for shift in range(2 * window + 1)], dim=-1)
    weights = _MaskedSoftmax.apply(scores / math.sqrt(q.shape[-1]), inside)
    output = weights[..., :1] * values.narrow(-2, 0, n)
    for shift in range(1, 2 * window + 1):
        output = torch.addcmul(output, weights[..., shift : shift + 1], values.narrow(-2, shift, n))
    return output
