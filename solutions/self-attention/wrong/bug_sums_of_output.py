"""Compares the sums of all entries, coarsely.

exercise: bug
caught-by: bug_shown
"""


def check_attention(fn):
    case = suspect_case()
    assert abs(fn(*case).mean() - scaled_dot_product_attention(*case).mean()) < 1
