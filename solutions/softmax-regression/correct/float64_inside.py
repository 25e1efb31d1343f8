"""Works in float64 inside and gives back the dtype that came in."""


def logsumexp(x, dim, keepdim=False):
    wide = x.double()
    m = wide.detach().amax(dim, keepdim=True)
    m = torch.nan_to_num(m, posinf=0.0, neginf=0.0)
    result = m + (wide - m).exp().sum(dim, keepdim=True).log()
    return (result if keepdim else result.squeeze(dim)).to(x.dtype)


def softmax(x, dim=-1):
    wide = x.double()
    weights = (wide - wide.amax(dim, keepdim=True)).exp()
    return (weights / weights.sum(dim, keepdim=True)).to(x.dtype)


def log_softmax(x, dim=-1):
    wide = x.double()
    wide = wide - wide.detach().amax(dim, keepdim=True)
    return (wide - wide.exp().sum(dim, keepdim=True).log()).to(x.dtype)


def softmax_regression_grads(X, y, W, b):
    logits = X.double() @ W.double() + b.double()
    error = softmax(logits, dim=1)
    error = error - one_hot(y, logits.shape[1], dtype=torch.float64)
    loss = cross_entropy(logits, y)
    return loss.to(W.dtype), (X.double().t() @ error / len(y)).to(W.dtype), error.mean(dim=0).to(W.dtype)


def cross_entropy(logits, target, reduction="mean", label_smoothing=0.0):
    n, q = logits.shape if logits.dim() == 2 else (-1, -1)
    if target.shape != (n,):
        raise ValueError("shapes do not fit")
    if reduction not in ("mean", "sum", "none"):
        raise ValueError("unknown reduction")
    if target.dtype != torch.int64 or not bool(((0 <= target) & (target < q)).all()):
        raise ValueError("bad labels")
    z = logits - logits.detach().amax(1, keepdim=True)
    z = z - z.exp().sum(1, keepdim=True).log()
    losses = -(1 - label_smoothing) * z[torch.arange(n), target].double() - label_smoothing * z.mean(1).double()
    losses = losses if reduction == "none" else losses.sum() if reduction == "sum" else losses.mean()
    return losses.to(logits.dtype)


def kl_divergence(p, q, dim=-1):
    terms = torch.where(p > 0, p.double() * (p.double().log() - q.double().log()), 0.0)
    return terms.sum(dim).to(p.dtype)
