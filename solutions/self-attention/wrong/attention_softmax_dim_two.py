"""The last dimension, counted from the front, of tensors with one batch dimension.

exercise: attention
caught-by: attention_batches
also-breaks: multihead, bug
"""


def scaled_dot_product_attention(q, k, v, mask=None, *, return_weights=False):
    weights = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        if mask.dtype != torch.bool:
            raise TypeError(f"the mask must be boolean, not {mask.dtype}")
        weights = weights.masked_fill(~mask, torch.finfo(weights.dtype).min)
    weights = weights.softmax(dim=2)
    if mask is not None:
        weights = weights.masked_fill(~mask, 0)
    return (weights @ v, weights) if return_weights else weights @ v
