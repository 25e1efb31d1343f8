"""Everything is refused.

exercise: bug
caught-by: bug_shown
"""


def check_gradient(f, df):
    df(torch.ones(2, 2, dtype=torch.float64))
    raise AssertionError("wrong")
