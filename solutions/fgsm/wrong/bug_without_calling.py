"""Judges by the name.

exercise: bug
caught-by: bug_shown
"""


def check_fgsm(attack):
    assert "leaky" not in repr(attack)
