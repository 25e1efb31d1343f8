"""A list of the answers.

exercise: answers
caught-by: answers_form
"""


def short_answers():
    return [256, 21, 524224, "adfh"]
