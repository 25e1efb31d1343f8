"""The softmax written out: exponentials of the scores less the row's maximum, and a sum that is never 0."""


def _shares(scores, allowed):
    scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
    parts = torch.exp(scores - scores.detach().amax(-1, keepdim=True)).masked_fill(~allowed, 0)
    return parts / parts.sum(-1, keepdim=True).clamp(min=torch.finfo(scores.dtype).tiny)


def scaled_dot_product_attention(q, k, v, mask=None, *, return_weights=False):
    if mask is None:
        mask = torch.tensor(True)
    if mask.dtype != torch.bool:
        raise TypeError(f"{mask.dtype} is no mask")
    weights = _shares(torch.matmul(q / q.shape[-1] ** 0.5, k.transpose(-1, -2)), mask)
    output = torch.matmul(weights, v)
    return (output, weights) if return_weights else output


def causal_mask(n):
    i = torch.arange(n)
    return i[None, :] <= i[:, None]


def padding_mask(lengths, L):
    return torch.arange(L).expand(len(lengths), L).lt(lengths[:, None]).reshape(-1, 1, 1, L)


def local_mask(n, window):
    full = torch.ones(n, n, dtype=torch.bool)
    return full.tril(window) & full.triu(-window)


def truncated_self_attention(q, k, v, window):
    n = q.shape[-2]
    index = torch.arange(n)[:, None] + torch.arange(-window, window + 1)
    allowed = (index >= 0) & (index < n)
    index = index.clamp(0, n - 1)
    scores = (k[..., index, :] @ q.unsqueeze(-1)).squeeze(-1) / math.sqrt(q.shape[-1])
    return (_shares(scores, allowed).unsqueeze(-2) @ v[..., index, :]).squeeze(-2)
