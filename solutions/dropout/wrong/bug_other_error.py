"""ValueError instead of AssertionError.

exercise: bug
caught-by: bug_shown
"""


def check_dropout(fn):
    y = fn(torch.ones(50, 50), 0.5, True, torch.Generator().manual_seed(0))
    rows = (y == 0).float().mean(1)
    if rows.max() == 1 or rows.min() == 0:
        raise ValueError("rows")
