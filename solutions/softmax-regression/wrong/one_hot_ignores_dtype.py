"""Always float32.

exercise: one_hot
caught-by: one_hot_values
"""


def one_hot(y, q, dtype=torch.float32):
    if ((y < 0) | (y >= q)).any():
        raise ValueError("label out of range")
    return (y.unsqueeze(-1) == torch.arange(q)).float()
