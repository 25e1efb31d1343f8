"""The answer is guessed without a call.

exercise: bug
caught-by: bug_shown
"""


def check_dropout(fn):
    assert hash(repr(fn)) % 2
