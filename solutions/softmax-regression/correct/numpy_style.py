"""Written like NumPy: axis, keepdims, fancy indexing, a list of index arrays."""

import numpy as np


def logsumexp(x, dim, keepdim=False):
    top = torch.amax(x, axis=dim, keepdims=True).detach()
    top = torch.where(torch.isinf(top), 0.0, top)
    out = torch.log(torch.sum(torch.exp(x - top), axis=dim, keepdims=True)) + top
    return out if keepdim else torch.squeeze(out, axis=dim)


def one_hot(y, q, dtype=torch.float32):
    labels = y.numpy()
    if labels.size and (labels.min() < 0 or labels.max() > q - 1):
        raise ValueError("label out of range")
    return torch.from_numpy(np.eye(q)[labels]).to(dtype)


def cross_entropy(logits, target, reduction="mean", label_smoothing=0.0):
    if logits.ndim != 2 or target.ndim != 1 or logits.shape[0] != target.shape[0]:
        raise ValueError("need (n, q) and (n,)")
    if target.dtype != torch.int64:
        raise TypeError("need integer labels")
    n, q = logits.shape
    if np.any((target.numpy() < 0) | (target.numpy() >= q)):
        raise IndexError("label out of range")
    log_p = logits - logsumexp(logits, 1, keepdim=True)
    loss = -(1 - label_smoothing) * log_p[np.arange(n), target] - label_smoothing / q * torch.sum(log_p, axis=1)
    try:
        return {"none": lambda v: v, "mean": torch.mean, "sum": torch.sum}[reduction](loss)
    except KeyError:
        raise ValueError("unknown reduction") from None


def entropy(p, dim=-1):
    return torch.sum(torch.special.entr(p), axis=dim)


def accuracy(logits, y):
    return float(np.mean(np.argmax(logits.detach().numpy(), axis=1) == y.numpy()))


def minibatches(n, batch_size, *, generator=None, shuffle=True, drop_last=False):
    order = torch.randperm(n, generator=generator) if shuffle else torch.arange(n)
    batches = [order[i : i + batch_size] for i in range(0, n, batch_size)]
    return [batch for batch in batches if len(batch) == batch_size or not drop_last]
