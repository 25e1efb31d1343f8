"""(n, 1) minus (n,) gives (n, n); the mean happens to be right.

exercise: cross_entropy
caught-by: cross_entropy_reductions
"""


def cross_entropy(logits, target, reduction="mean", label_smoothing=0.0):
    if logits.ndim != 2 or target.ndim != 1 or len(logits) != len(target):
        raise ValueError("shapes do not fit")
    if target.dtype != torch.int64 or (target < 0).any() or (target >= logits.shape[1]).any():
        raise ValueError("bad labels")
    total = logsumexp(logits, 1, keepdim=True)
    picked = logits[torch.arange(len(target)), target]
    loss = (1 - label_smoothing) * (total - picked) + label_smoothing * (total - logits.mean(1))
    if reduction == "none":
        return loss
    if reduction not in ("mean", "sum"):
        raise ValueError("unknown reduction")
    return loss.mean() if reduction == "mean" else loss.sum()
