"""The brackets are added without being squared.

exercise: descent
caught-by: himmelblau_values
told: the squares around the brackets are missing
"""


def himmelblau(p):
    x, y = p.unbind(-1)
    return (x**2 + y - 11) + (x + y**2 - 7)
