"""Never tries another range of pixels.

exercise: bug
caught-by: bug_values
"""


def check_fgsm(attack):
    model, x, y = suspect_case()
    model[0].eval()
    modes = [module.training for module in model.modules()]
    for targeted in (False, True):
        for clip in ((0.0, 1.0),):
            result = attack(model, x, y, 0.25, targeted=targeted, clip=clip)
            assert torch.allclose(result, fgsm(model, x, y, 0.25, targeted=targeted, clip=clip))
    assert [module.training for module in model.modules()] == modes
    assert all((parameter.grad is None for parameter in model.parameters()))
