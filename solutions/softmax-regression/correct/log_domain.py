"""Everything by way of logsumexp: softmax is exp(x − logsumexp(x)), the loss is logsumexp minus the label's logit."""


def logsumexp(x, dim, keepdim=False):
    m, _ = torch.max(x, dim, keepdim=True)
    m = m.detach().clone()
    m[m.abs() == float("inf")] = 0
    result = torch.log(torch.sum(torch.exp(x - m), dim, keepdim=True)) + m
    return result if keepdim else result.squeeze(dim)


def log_softmax(x, dim=-1):
    return x - logsumexp(x, dim, keepdim=True)


def softmax(x, dim=-1):
    return log_softmax(x, dim).exp()


def cross_entropy(logits, target, reduction="mean", label_smoothing=0.0):
    if logits.dim() != 2 or target.dim() != 1 or logits.size(0) != target.size(0):
        raise ValueError("shapes do not fit")
    if target.is_floating_point() or target.min() < 0 or target.max() >= logits.size(1):
        raise ValueError("bad labels")
    z = logsumexp(logits, 1)
    nll = z - logits[torch.arange(logits.size(0)), target]
    loss = (1 - label_smoothing) * nll + label_smoothing * (z - logits.mean(1))
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    if reduction == "mean":
        return loss.mean()
    raise ValueError(reduction)
