"""Forty equal results, averaged: no loop over queries, and forty times too slow.

exercise: attention
caught-by: attention_operations
"""

_attend_once = scaled_dot_product_attention


def scaled_dot_product_attention(q, k, v, mask=None, *, return_weights=False):
    for _ in range(39):
        _attend_once(q, k, v, mask)
    return _attend_once(q, k, v, mask, return_weights=return_weights)
