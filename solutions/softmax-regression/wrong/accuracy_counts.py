"""The number of right rows instead of their share.

exercise: batches
caught-by: accuracy_values
told: right rows were counted; their share is due
"""


def accuracy(logits, y):
    return float((logits.argmax(dim=1) == y).sum())
