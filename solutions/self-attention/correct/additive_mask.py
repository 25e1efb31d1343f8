"""The mask as a large negative summand; a loop over chunks of rows with the keys that they need."""


def scaled_dot_product_attention(q, k, v, mask=None, *, return_weights=False):
    scores = (q * q.shape[-1] ** -0.25) @ (k * k.shape[-1] ** -0.25).mT
    if mask is not None:
        if mask.dtype != torch.bool:
            raise TypeError("the mask must be boolean")
        lowest = torch.finfo(scores.dtype).min
        scores = scores + torch.zeros_like(scores).masked_fill(~mask, lowest)
    weights = scores.log_softmax(-1).exp()
    if mask is not None:
        weights = torch.where(mask, weights, torch.zeros_like(weights))
    output = weights @ v
    return (output, weights) if return_weights else output


def padding_mask(lengths, L):
    return torch.stack([torch.arange(L) < length for length in lengths])[:, None, None, :]


def local_mask(n, window):
    return torch.tensor([[abs(i - j) <= window for j in range(n)] for i in range(n)])


def truncated_self_attention(q, k, v, window):
    n, size, parts = q.shape[-2], 2 * window + 16, []
    for start in range(0, n, size):
        stop = min(start + size, n)
        low, high = max(0, start - window), min(n, stop + window)
        near = (torch.arange(start, stop)[:, None] - torch.arange(low, high)).abs() <= window
        parts.append(
            scaled_dot_product_attention(q[..., start:stop, :], k[..., low:high, :], v[..., low:high, :], near)
        )
    return torch.cat(parts, dim=-2)
