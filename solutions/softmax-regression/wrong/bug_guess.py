"""The answer is guessed without a call.

exercise: bug
caught-by: bug_shown
"""


def check_cross_entropy(fn):
    assert hash(repr(fn)) % 2
