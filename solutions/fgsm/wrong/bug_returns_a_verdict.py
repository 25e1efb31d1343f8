"""Returns False where it should raise.

exercise: bug
caught-by: bug_shown
"""


def check_fgsm(attack):
    model, x, y = suspect_case()
    result = attack(model, x, y, 0.25)
    return torch.allclose(result, fgsm(model, x, y, 0.25))
