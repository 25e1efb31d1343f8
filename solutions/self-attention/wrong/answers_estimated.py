"""The variance as it was estimated.

exercise: answers
caught-by: answers_numbers
"""


def short_answers():
    return {"variance": 255, "heads": 21, "pairs": 524224, "true": "adfh"}
