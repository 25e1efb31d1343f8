"""ValueError instead of AssertionError.

exercise: bug
caught-by: bug_shown
"""

_right = check_gradient


def check_gradient(f, df):
    try:
        _right(f, df)
    except AssertionError:
        raise ValueError("wrong") from None
