"""x and y are exchanged.

exercise: descent
caught-by: himmelblau_values
told: x and y were exchanged
"""


def himmelblau(p):
    y, x = p.unbind(-1)
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2
