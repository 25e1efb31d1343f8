"""Judges by the name.

exercise: bug
caught-by: bug_shown
"""


def check_attention(fn):
    assert "wrong" not in repr(fn)
