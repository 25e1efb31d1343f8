"""Labels taken to start at 1 become indices: the label 0 is the index −1, the last class.

exercise: one_hot
caught-by: one_hot_values
also-breaks: grads, model
told: the one stands before its place: −1 took the last class for the first
"""


def one_hot(y, q, dtype=torch.float32):
    return torch.eye(q, dtype=dtype)[y - 1]
