"""Adding floats turns integer and boolean rows into float32.

exercise: one_hot
caught-by: one_hot_dtypes
"""


def one_hot(y, q, dtype=torch.float32):
    if ((y < 0) | (y >= q)).any():
        raise ValueError("label out of range")
    return torch.zeros(*y.shape, q, dtype=dtype) + 1.0 * (y.unsqueeze(-1) == torch.arange(q))
