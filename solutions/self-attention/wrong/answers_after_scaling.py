"""The variance after the division.

exercise: answers
caught-by: answers_form
told: that is the variance after the division by √d
"""


def short_answers():
    return {"variance": 4, "heads": 21, "pairs": 524224, "true": "adfh"}
