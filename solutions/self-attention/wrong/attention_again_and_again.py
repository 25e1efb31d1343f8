"""A hundred equal results, the last of which is taken: no loop over queries, and far too slow.

exercise: attention
caught-by: attention_operations
"""

_attend_once = scaled_dot_product_attention


def scaled_dot_product_attention(q, k, v, mask=None, *, return_weights=False):
    for _ in range(99):
        _attend_once(q, k, v, mask)
    return _attend_once(q, k, v, mask, return_weights=return_weights)
