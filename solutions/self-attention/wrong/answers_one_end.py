"""Windows that are cut off at one end.

exercise: answers
caught-by: answers_numbers
told: the windows were cut off at one end only
"""


def short_answers():
    return {"variance": 256, "heads": 21, "pairs": 526304, "true": "adfh"}
