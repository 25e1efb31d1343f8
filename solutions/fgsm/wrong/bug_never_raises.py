"""Everything is right.

exercise: bug
caught-by: bug_shown
"""


def check_fgsm(attack):
    model, x, y = suspect_case()
    attack(model, x, y, 0.1)
