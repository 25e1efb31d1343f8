"""Probabilities clamped away from 0 and 1.

exercise: cross_entropy
caught-by: cross_entropy_extremes, cross_entropy_tiny
also-breaks: grads
told: the probability was clamped below 1
"""


def cross_entropy(logits, target, reduction="mean", label_smoothing=0.0):
    if logits.ndim != 2 or target.ndim != 1 or len(logits) != len(target):
        raise ValueError("shapes do not fit")
    if target.dtype != torch.int64 or (target < 0).any() or (target >= logits.shape[1]).any():
        raise ValueError("bad labels")
    log_p = softmax(logits, dim=1).clamp(1e-7, 1 - 1e-7).log()
    loss = -log_p.gather(1, target[:, None]).squeeze(1)
    loss = (1 - label_smoothing) * loss - label_smoothing * log_p.mean(1)
    if reduction == "none":
        return loss
    if reduction not in ("mean", "sum"):
        raise ValueError("unknown reduction")
    return loss.mean() if reduction == "mean" else loss.sum()
