"""Raises another exception.

exercise: bug
caught-by: bug_shown
"""


def check_fgsm(attack):
    model, x, y = suspect_case()
    if not torch.allclose(attack(model, x, y, 0.25), fgsm(model, x, y, 0.25)):
        raise ValueError("wrong")
