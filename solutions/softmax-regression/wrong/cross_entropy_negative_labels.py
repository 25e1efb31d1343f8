"""Indexing takes the label −1 for the last class.

exercise: cross_entropy
caught-by: cross_entropy_bad_labels
"""


def cross_entropy(logits, target, reduction="mean", label_smoothing=0.0):
    if logits.ndim != 2 or target.ndim != 1 or len(logits) != len(target):
        raise ValueError("shapes do not fit")
    log_p = log_softmax(logits, dim=1)
    loss = -log_p[torch.arange(len(target)), target]
    loss = (1 - label_smoothing) * loss - label_smoothing * log_p.mean(1)
    if reduction == "none":
        return loss
    if reduction not in ("mean", "sum"):
        raise ValueError("unknown reduction")
    return loss.mean() if reduction == "mean" else loss.sum()
