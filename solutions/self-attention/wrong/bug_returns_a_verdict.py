"""Returns False where it should raise.

exercise: bug
caught-by: bug_shown
"""


def check_attention(fn):
    case = suspect_case()
    return torch.allclose(fn(*case), scaled_dot_product_attention(*case))
