"""Believes that a causal mask keeps the symmetry.

exercise: answers
caught-by: answers_statements
"""


def short_answers():
    return {"variance": 256, "heads": 21, "pairs": 524224, "true": "abdfh"}
