"""Guesses from the name of the function.

exercise: bug
caught-by: bug_shown
"""


def check_conv2d(fn):
    assert "flip" not in getattr(fn, "__name__", "flip")
