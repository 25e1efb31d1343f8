"""Only the mean is looked at.

exercise: bug
caught-by: bug_shown
"""


def check_dropout(fn):
    for p in (0.2, 0.5):
        y = fn(torch.ones(300, 300), p, True, torch.Generator().manual_seed(0))
        assert abs(float(y.mean()) - 1) < 0.2
