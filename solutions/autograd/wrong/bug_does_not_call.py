"""The function is judged by its name.

exercise: bug
caught-by: bug_shown
"""


def check_gradient(f, df):
    assert "forgetful" not in str(df)
