"""ε is spread over the other q − 1 classes.

exercise: cross_entropy
caught-by: cross_entropy_smoothing
told: ε was spread over the other q − 1 classes only; the true one gets its share too
"""


def cross_entropy(logits, target, reduction="mean", label_smoothing=0.0):
    if logits.ndim != 2 or target.ndim != 1 or len(logits) != len(target):
        raise ValueError("shapes do not fit")
    if target.dtype != torch.int64 or (target < 0).any() or (target >= logits.shape[1]).any():
        raise ValueError("bad labels")
    log_p = log_softmax(logits, dim=1)
    loss = -log_p.gather(1, target[:, None]).squeeze(1)
    if label_smoothing > 0:
        others = -(log_p.sum(1) + loss) / (logits.shape[1] - 1)
        loss = (1 - label_smoothing) * loss + label_smoothing * others
    if reduction == "none":
        return loss
    if reduction not in ("mean", "sum"):
        raise ValueError("unknown reduction")
    return loss.mean() if reduction == "mean" else loss.sum()
