"""A loop over the samples.

exercise: cross_entropy
caught-by: cross_entropy_operations
"""


def cross_entropy(logits, target, reduction="mean", label_smoothing=0.0):
    if logits.ndim != 2 or target.ndim != 1 or len(logits) != len(target):
        raise ValueError("shapes do not fit")
    if target.dtype != torch.int64 or (target < 0).any() or (target >= logits.shape[1]).any():
        raise ValueError("bad labels")
    losses = []
    for row, label in zip(logits, target):
        log_p = log_softmax(row, dim=0)
        losses.append(-(1 - label_smoothing) * log_p[label] - label_smoothing * log_p.mean())
    loss = torch.stack(losses)
    if reduction == "none":
        return loss
    if reduction not in ("mean", "sum"):
        raise ValueError("unknown reduction")
    return loss.mean() if reduction == "mean" else loss.sum()
