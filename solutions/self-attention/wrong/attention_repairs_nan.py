"""nan is replaced afterwards, and comes back in the backward pass.

exercise: attention
caught-by: attention_masked_gradients
also-breaks: multihead
"""


def scaled_dot_product_attention(q, k, v, mask=None, *, return_weights=False):
    weights = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        if mask.dtype != torch.bool:
            raise TypeError(f"the mask must be boolean, not {mask.dtype}")
        weights = weights + torch.where(mask, 0.0, -math.inf).to(weights.dtype)
    weights = weights.softmax(dim=-1)
    if mask is not None:
        weights = weights.nan_to_num(0.0)
    return (weights @ v, weights) if return_weights else weights @ v
