"""−10 000 for masked scores.

exercise: attention
caught-by: attention_large_scores
"""


def scaled_dot_product_attention(q, k, v, mask=None, *, return_weights=False):
    weights = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        if mask.dtype != torch.bool:
            raise TypeError(f"the mask must be boolean, not {mask.dtype}")
        weights = weights.masked_fill(~mask, -10000.0)
    weights = weights.softmax(dim=-1)
    if mask is not None:
        weights = weights.masked_fill(~mask, 0)
    return (weights @ v, weights) if return_weights else weights @ v
