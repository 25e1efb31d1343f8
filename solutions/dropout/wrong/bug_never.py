"""Everything is right.

exercise: bug
caught-by: bug_shown
"""


def check_dropout(fn):
    fn(torch.ones(20, 20), 0.5, True, torch.Generator().manual_seed(0))
