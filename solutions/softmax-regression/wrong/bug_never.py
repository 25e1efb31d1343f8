"""Everything is right.

exercise: bug
caught-by: bug_shown
"""


def check_cross_entropy(fn):
    fn(torch.zeros(4, 3, dtype=torch.float64), torch.zeros(4, dtype=torch.int64))
