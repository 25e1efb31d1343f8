"""Einstein sums, also for the four linear maps; windows as strided views of the padded keys."""


def scaled_dot_product_attention(q, k, v, mask=None, *, return_weights=False):
    if mask is not None and mask.dtype is not torch.bool:
        raise TypeError("a boolean mask, please")
    logits = torch.einsum("...id,...jd->...ij", q, k) * q.size(-1) ** -0.5
    if mask is not None:
        some = mask.any(dim=-1, keepdim=True)
        logits = torch.where(mask | ~some, logits, -torch.inf)
    attention = torch.softmax(logits, dim=-1)
    if mask is not None:
        attention = attention * some
    out = torch.einsum("...ij,...je->...ie", attention, v)
    if return_weights:
        return out, attention
    return out


class MultiHeadSelfAttention(nn.Module):
    def __init__(self, d_model, n_heads, bias=True):
        super().__init__()
        self.heads = n_heads
        if d_model % n_heads:
            raise ValueError("heads must divide the width")
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            setattr(self, name, nn.Linear(d_model, d_model, bias))

    def _split(self, layer, x):
        weight = layer.weight.view(self.heads, -1, x.shape[-1])
        y = torch.einsum("bld,hed->bhle", x, weight)
        return y if layer.bias is None else y + layer.bias.view(self.heads, 1, -1)

    def forward(self, x, mask=None, causal=False):
        length = x.shape[1]
        if causal:
            seen = torch.arange(length) <= torch.arange(length).unsqueeze(1)
            mask = seen if mask is None else torch.logical_and(mask, seen)
        q, k, v = self._split(self.q_proj, x), self._split(self.k_proj, x), self._split(self.v_proj, x)
        out = scaled_dot_product_attention(q, k, v, mask)
        return self.out_proj(torch.einsum("bhle->blhe", out).reshape(x.shape))


def truncated_self_attention(q, k, v, window):
    n, d = q.shape[-2:]
    w = min(window, n)
    keys = F.pad(k, (0, 0, w, w)).unfold(-2, 2 * w + 1, 1)
    values = F.pad(v, (0, 0, w, w)).unfold(-2, 2 * w + 1, 1)
    inside = F.pad(torch.ones(n, dtype=torch.bool), (w, w)).unfold(0, 2 * w + 1, 1)
    scores = torch.einsum("...nd,...ndw->...nw", q, keys) / d**0.5
    return torch.einsum("...nw,...new->...ne", torch.where(inside, scores, -torch.inf).softmax(-1), values)
