"""Rows of the identity by index: −1 is silently the last class.

exercise: one_hot
caught-by: one_hot_errors
"""


def one_hot(y, q, dtype=torch.float32):
    return torch.eye(q, dtype=dtype)[y]
