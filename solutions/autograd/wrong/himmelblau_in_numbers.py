"""Python numbers cut the graph.

exercise: descent
caught-by: himmelblau_values
"""


def himmelblau(p):
    values = [(x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2 for x, y in p.reshape(-1, 2).tolist()]
    return torch.tensor(values, dtype=p.dtype).reshape(p.shape[:-1])
