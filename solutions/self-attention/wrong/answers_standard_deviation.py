"""The standard deviation.

exercise: answers
caught-by: answers_form
told: that is the standard deviation; the variance is its square
"""


def short_answers():
    return {"variance": 16, "heads": 21, "pairs": 524224, "true": "adfh"}
