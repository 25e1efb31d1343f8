"""A hand-written backward whose probabilities are a constant to autograd: right once, not twice.

exercise: cross_entropy
caught-by: cross_entropy_gradients
"""


class _Losses(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, due):
        log_p = log_softmax(logits, 1)
        ctx.slope = log_p.exp() - due
        return -torch.where(due > 0, due * log_p, 0.0).sum(1)

    @staticmethod
    def backward(ctx, upstream):
        return upstream.unsqueeze(1) * ctx.slope, None


def cross_entropy(logits, target, reduction="mean", label_smoothing=0.0):
    if reduction not in ("mean", "sum", "none"):
        raise ValueError("reduction")
    if logits.ndim != 2 or target.ndim != 1 or len(logits) != len(target):
        raise ValueError("shapes")
    if target.dtype != torch.int64:
        raise TypeError("target")
    if ((target < 0) | (target >= logits.shape[1])).any():
        raise ValueError("labels")
    share = label_smoothing / logits.shape[1]
    due = torch.full_like(logits, share).scatter_(1, target.unsqueeze(1), 1 - label_smoothing + share)
    losses = _Losses.apply(logits, due)
    return {"mean": losses.mean, "sum": losses.sum, "none": losses.clone}[reduction]()
