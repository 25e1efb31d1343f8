"""Windows that are not cut off at the ends.

exercise: answers
caught-by: answers_numbers
told: the windows of tokens near both ends were not cut off
"""


def short_answers():
    return {"variance": 256, "heads": 21, "pairs": 528384, "true": "adfh"}
