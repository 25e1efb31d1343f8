"""A variance that is no whole number.

exercise: answers
caught-by: answers_form
"""


def short_answers():
    return {"variance": 256.0, "heads": 21, "pairs": 524224, "true": "adfh"}
