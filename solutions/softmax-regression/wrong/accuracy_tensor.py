"""A tensor instead of a float.

exercise: batches
caught-by: accuracy_values
"""


def accuracy(logits, y):
    return (logits.argmax(dim=1) == y).float().mean()
