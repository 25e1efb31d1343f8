"""The answer is returned, not raised.

exercise: bug
caught-by: bug_shown
"""

_right_check = check_dropout


def check_dropout(fn):
    try:
        _right_check(fn)
    except AssertionError:
        return False
    return True
