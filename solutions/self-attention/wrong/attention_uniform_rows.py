"""Fully masked rows give the mean of all values.

exercise: attention
caught-by: attention_masked_rows
also-breaks: multihead, bug
told: a fully masked row got equal weights; they must be 0
"""


def scaled_dot_product_attention(q, k, v, mask=None, *, return_weights=False):
    weights = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        if mask.dtype != torch.bool:
            raise TypeError(f"the mask must be boolean, not {mask.dtype}")
        weights = weights.masked_fill(~mask, torch.finfo(weights.dtype).min)
    weights = weights.softmax(dim=-1)
    if mask is not None:
        pass
    return (weights @ v, weights) if return_weights else weights @ v
