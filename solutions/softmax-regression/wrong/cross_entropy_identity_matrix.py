"""One-hot rows cut from a (q, q) identity matrix, and several copies of everything.

exercise: cross_entropy
caught-by: cross_entropy_memory
"""


def cross_entropy(logits, target, reduction="mean", label_smoothing=0.0):
    if logits.ndim != 2 or target.ndim != 1 or len(logits) != len(target):
        raise ValueError("shapes do not fit")
    if target.dtype != torch.int64 or (target < 0).any() or (target >= logits.shape[1]).any():
        raise ValueError("bad labels")
    q = logits.shape[1]
    truth = torch.eye(q, dtype=logits.dtype)[target]
    smooth = (1 - label_smoothing) * truth + label_smoothing / q
    maximum = logits.detach().amax(1, keepdim=True).expand_as(logits).clone()
    shifted = logits - maximum
    exponentials = shifted.exp()
    denominator = exponentials.sum(1, keepdim=True).expand_as(logits).clone()
    log_p = shifted - denominator.log()
    loss = -(smooth * log_p).sum(1)
    if reduction == "none":
        return loss
    if reduction not in ("mean", "sum"):
        raise ValueError("unknown reduction")
    return loss.mean() if reduction == "mean" else loss.sum()
