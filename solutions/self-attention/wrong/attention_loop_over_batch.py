"""A loop over the batch.

exercise: attention
caught-by: attention_operations
also-breaks: multihead
"""


def scaled_dot_product_attention(q, k, v, mask=None, *, return_weights=False):
    if q.ndim > 2:
        shape = (*q.shape[:-1], k.shape[-2])
        masks = [mask] * len(q) if mask is None or mask.dtype != torch.bool else mask.expand(shape)
        parts = [scaled_dot_product_attention(*each, return_weights=True) for each in zip(q, k, v, masks)]
        output, weights = (torch.stack(part) for part in zip(*parts))
        return (output, weights) if return_weights else output
    weights = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        if mask.dtype != torch.bool:
            raise TypeError(f"the mask must be boolean, not {mask.dtype}")
        weights = weights.masked_fill(~mask, torch.finfo(weights.dtype).min)
    weights = weights.softmax(dim=-1)
    if mask is not None:
        weights = weights.masked_fill(~mask, 0)
    return (weights @ v, weights) if return_weights else weights @ v
