"""True for a right gradient.

exercise: bug
caught-by: bug_shown
"""

_right = check_gradient


def check_gradient(f, df):
    _right(f, df)
    return True
