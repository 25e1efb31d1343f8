"""A mask must have two dimensions at least.

exercise: attention
caught-by: attention_batches
also-breaks: multihead
"""


def scaled_dot_product_attention(q, k, v, mask=None, *, return_weights=False):
    weights = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        if mask.dtype != torch.bool:
            raise TypeError(f"the mask must be boolean, not {mask.dtype}")
        assert mask.shape[-2] in (1, q.shape[-2])
        weights = weights.masked_fill(~mask, torch.finfo(weights.dtype).min)
    weights = weights.softmax(dim=-1)
    if mask is not None:
        weights = weights.masked_fill(~mask, 0)
    return (weights @ v, weights) if return_weights else weights @ v
