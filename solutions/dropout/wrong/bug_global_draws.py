"""The input comes from the global generator.

exercise: bug
caught-by: bug_shown
"""

_right_check = check_dropout


def check_dropout(fn):
    torch.randn(3)
    _right_check(fn)
