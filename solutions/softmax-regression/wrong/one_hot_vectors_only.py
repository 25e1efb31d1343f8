"""Right for vectors of labels only.

exercise: one_hot
caught-by: one_hot_shapes
"""


def one_hot(y, q, dtype=torch.float32):
    if ((y < 0) | (y >= q)).any():
        raise ValueError("label out of range")
    result = torch.zeros(len(y), q, dtype=dtype)
    result[torch.arange(len(y)), y] = 1
    return result
