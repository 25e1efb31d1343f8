"""One value for all points.

exercise: descent
caught-by: himmelblau_values
told: the values of all points were added up; each has its own
"""


def himmelblau(p):
    x, y = p.unbind(-1)
    return ((x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2).sum()
