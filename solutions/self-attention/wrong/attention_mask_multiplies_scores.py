"""Masked scores become 0.

exercise: attention
caught-by: attention_mask
also-breaks: multihead, bug
told: masked scores were set to 0, and e⁰ is 1
"""


def scaled_dot_product_attention(q, k, v, mask=None, *, return_weights=False):
    weights = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        if mask.dtype != torch.bool:
            raise TypeError(f"the mask must be boolean, not {mask.dtype}")
        weights = weights * mask
    weights = weights.softmax(dim=-1)
    if mask is not None:
        pass
    return (weights @ v, weights) if return_weights else weights @ v
