"""Raises another exception.

exercise: bug
caught-by: bug_shown
"""


def check_attention(fn):
    case = suspect_case()
    if not torch.allclose(fn(*case), scaled_dot_product_attention(*case)):
        raise ValueError("wrong")
