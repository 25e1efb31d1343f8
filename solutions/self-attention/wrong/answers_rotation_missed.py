"""Does not see the rotation.

exercise: answers
caught-by: answers_statements
"""


def short_answers():
    return {"variance": 256, "heads": 21, "pairs": 524224, "true": "afh"}
