"""A class of small helpers; a check by properties, in float32 as well."""


class Head:
    """One way of looking."""

    def __init__(self, mask):
        if mask is not None and mask.dtype != torch.bool:
            raise TypeError("a mask says yes or no")
        self.mask = mask

    def weights(self, scores):
        if self.mask is None:
            return torch.softmax(scores, -1)
        mask = torch.broadcast_to(self.mask, scores.shape)
        nobody = ~mask.any(-1, keepdim=True)
        weights = torch.softmax(scores.masked_fill(~(mask | nobody), -torch.inf), -1)
        return weights.masked_fill(nobody, 0)


def scaled_dot_product_attention(q, k, v, mask=None, *, return_weights=False):
    head = Head(mask)
    weights = head.weights(torch.matmul(q, k.swapaxes(-1, -2)).div(q.shape[-1] ** 0.5))
    return (torch.matmul(weights, v), weights) if return_weights else torch.matmul(weights, v)


def positional_encoding(n, d, base=10000.0):
    rows = []
    half = [base ** (-2 * i / d) for i in range((d + 1) // 2)]
    frequency = torch.tensor([half[c // 2] for c in range(d)], dtype=torch.float64)
    shift = torch.tensor([math.pi / 2 * (c % 2) for c in range(d)], dtype=torch.float64)
    for start in range(0, n, 4096):
        position = torch.arange(start, min(n, start + 4096), dtype=torch.float64)
        rows.append(torch.sin(torch.outer(position, frequency) + shift).float())
    return torch.cat(rows)


class MultiHeadSelfAttention(nn.Module):
    def __init__(self, d_model, n_heads, bias=True):
        super().__init__()
        if d_model // n_heads * n_heads != d_model:
            raise ValueError("d_model / n_heads must be whole")
        self.n_heads = n_heads
        for name in ("q", "k", "v", "out"):
            self.register_module(f"{name}_proj", nn.Linear(d_model, d_model, bias=bias))

    def split(self, x):
        return torch.stack(x.chunk(self.n_heads, dim=-1), dim=1)

    def forward(self, x, mask=None, causal=False):
        length = x.size(1)
        if causal:
            past = local_mask(length, length) & causal_mask(length)
            mask = past if mask is None else past & mask
        heads = scaled_dot_product_attention(
            self.split(self.q_proj(x)), self.split(self.k_proj(x)), self.split(self.v_proj(x)), mask
        )
        return self.out_proj(torch.cat(heads.unbind(1), dim=-1))


def short_answers():
    return dict(variance=256, heads=21, pairs=int(local_mask(4096, 64).sum()), true="fahd")


def check_attention(fn):
    q, k, v, mask = suspect_case()
    eye = torch.eye(6, dtype=torch.float64).expand(2, 3, 6, 6)
    for scale in (1.0, 1e-3, 1e3):
        for keep in (None, mask):
            queries = (scale * q).requires_grad_()
            weights = fn(queries, k, eye, keep)
            seen = torch.ones_like(weights, dtype=torch.bool) if keep is None else keep.expand_as(weights)
            some = seen.any(-1).double()
            assert torch.allclose(weights.sum(-1), some)
            assert (weights[~seen] == 0).all()
            logits = (queries @ k.mT / 2).masked_fill(~seen, -torch.inf)
            top = logits.argmax(-1, keepdim=True)
            ratio = (logits - logits.gather(-1, top)).exp() * weights.gather(-1, top)
            assert torch.allclose(ratio[seen], weights[seen])
            (slope,) = torch.autograd.grad(weights[..., 0].sum(), queries)
            assert torch.isfinite(slope).all()
    single = fn(q[0, 0], k[0, 0], v[0, 0], mask[1, 0])
    assert torch.allclose(single, scaled_dot_product_attention(q[0, 0], k[0, 0], v[0, 0], mask[1, 0]))
