"""Everything is wrong.

exercise: bug
caught-by: bug_shown
"""


def check_attention(fn):
    fn(*suspect_case())
    raise AssertionError
