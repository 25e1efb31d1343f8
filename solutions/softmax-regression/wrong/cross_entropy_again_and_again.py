"""The mean over a hundred equal results: as many operations for 8 samples as for 256, but a hundred times too many.

exercise: cross_entropy
caught-by: cross_entropy_operations
"""


def cross_entropy(logits, target, reduction="mean", label_smoothing=0.0):
    if reduction not in ("none", "mean", "sum"):
        raise ValueError("unknown reduction")
    if logits.ndim != 2 or target.ndim != 1 or len(logits) != len(target):
        raise ValueError("shapes do not fit")
    if target.dtype != torch.int64 or ((target < 0) | (target >= logits.shape[1])).any():
        raise ValueError("bad labels")
    loss = 0.0
    for _ in range(100):
        log_p = log_softmax(logits, dim=1)
        picked = log_p.gather(1, target[:, None])[:, 0]
        loss = loss - (1 - label_smoothing) * picked / 100 - label_smoothing * log_p.mean(1) / 100
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()
