"""The mean over samples and classes.

exercise: cross_entropy
caught-by: cross_entropy_values
also-breaks: grads, model
told: the loss was divided by the number of classes as well; divide by n only
"""


def cross_entropy(logits, target, reduction="mean", label_smoothing=0.0):
    if logits.ndim != 2 or target.ndim != 1 or len(logits) != len(target):
        raise ValueError("shapes do not fit")
    if target.dtype != torch.int64 or (target < 0).any() or (target >= logits.shape[1]).any():
        raise ValueError("bad labels")
    return -(one_hot(target, logits.shape[1], logits.dtype) * log_softmax(logits, 1)).mean()
