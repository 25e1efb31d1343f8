"""The sum over the samples where the mean is asked for.

exercise: cross_entropy
caught-by: cross_entropy_values
also-breaks: grads, model
told: the losses were summed; the default is their mean
"""


def cross_entropy(logits, target, reduction="mean", label_smoothing=0.0):
    if logits.ndim != 2 or target.ndim != 1 or len(logits) != len(target):
        raise ValueError("shapes do not fit")
    if target.dtype != torch.int64 or (target < 0).any() or (target >= logits.shape[1]).any():
        raise ValueError("bad labels")
    log_p = log_softmax(logits, dim=1)
    loss = -log_p.gather(1, target[:, None]).squeeze(1)
    loss = (1 - label_smoothing) * loss - label_smoothing * log_p.mean(1)
    return loss if reduction == "none" else loss.sum()
