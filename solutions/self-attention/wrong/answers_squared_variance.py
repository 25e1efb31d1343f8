"""The variance of q is squared.

exercise: answers
caught-by: answers_form
told: the variance of the entries of q was taken for their standard deviation
"""


def short_answers():
    return {"variance": 1024, "heads": 21, "pairs": 524224, "true": "adfh"}
