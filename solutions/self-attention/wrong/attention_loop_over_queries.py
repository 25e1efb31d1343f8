"""A loop over the queries.

exercise: attention
caught-by: attention_operations
also-breaks: multihead
"""


def scaled_dot_product_attention(q, k, v, mask=None, *, return_weights=False):
    weights = torch.stack([(q[..., i, None, :] * k).sum(-1) for i in range(q.shape[-2])], -2) / math.sqrt(q.shape[-1])
    if mask is not None:
        if mask.dtype != torch.bool:
            raise TypeError(f"the mask must be boolean, not {mask.dtype}")
        weights = weights.masked_fill(~mask, torch.finfo(weights.dtype).min)
    weights = weights.softmax(dim=-1)
    if mask is not None:
        weights = weights.masked_fill(~mask, 0)
    return (weights @ v, weights) if return_weights else weights @ v
