"""Only the bug that was shown is looked for.

exercise: bug
caught-by: bug_values, bug_draws
"""


def check_dropout(fn):
    y = fn(torch.ones(50, 50), 0.5, True, torch.Generator().manual_seed(0))
    rows = (y == 0).float().mean(1)
    assert rows.max() < 1 and rows.min() > 0
