"""Looks at shapes and at nan.

exercise: bug
caught-by: bug_shown
"""


def check_attention(fn):
    q, k, v, mask = suspect_case()
    output = fn(q, k, v, mask)
    assert output.shape == (2, 3, 5, 7)
    assert output.isfinite().all()
