"""Columns of a table: only for (n, 2).

exercise: descent
caught-by: himmelblau_shapes
"""


def himmelblau(p):
    x, y = p[:, 0], p[:, 1]
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2
