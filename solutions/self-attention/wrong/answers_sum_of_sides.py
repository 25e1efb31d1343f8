"""Sides added.

exercise: answers
caught-by: answers_numbers
told: the sides of the kernel were added; each of its entries needs a head
"""


def short_answers():
    return {"variance": 256, "heads": 10, "pairs": 524224, "true": "adfh"}
