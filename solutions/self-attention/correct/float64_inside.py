"""Everything in float64 inside, rounded at the end."""


def scaled_dot_product_attention(q, k, v, mask=None, *, return_weights=False):
    if mask is not None and mask.dtype != torch.bool:
        raise TypeError("boolean masks only")
    weights = q.double() @ k.double().mT / math.sqrt(q.shape[-1])
    if mask is not None:
        weights.masked_fill_(~mask, -1e300)
    weights = weights.softmax(-1).to(q.dtype)
    if mask is not None:
        weights = weights * mask
    return (weights @ v, weights) if return_weights else weights @ v


class MultiHeadSelfAttention(nn.Module):
    def __init__(self, d_model, n_heads, bias=True):
        super().__init__()
        if d_model % n_heads:
            raise ValueError("not divisible")
        self.n_heads, self.width = n_heads, d_model // n_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=bias)
        self.k_proj = nn.Linear(d_model, d_model, bias=bias)
        self.v_proj = nn.Linear(d_model, d_model, bias=bias)
        self.out_proj = nn.Linear(d_model, d_model, bias=bias)

    def forward(self, x, mask=None, causal=False):
        B, L, D = x.shape
        allowed = torch.ones(B, self.n_heads, L, L, dtype=torch.bool)
        if mask is not None:
            if mask.dtype != torch.bool:
                raise TypeError("boolean masks only")
            allowed &= mask
        if causal:
            allowed &= causal_mask(L)
        split = (B, L, self.n_heads, self.width)
        q = self.q_proj(x).double().view(split).permute(0, 2, 1, 3)
        k = self.k_proj(x).double().view(split).permute(0, 2, 3, 1)
        v = self.v_proj(x).double().view(split).permute(0, 2, 1, 3)
        scores = (q @ k / self.width**0.5).masked_fill(~allowed, -1e300)
        heads = scores.softmax(-1).masked_fill(~allowed, 0.0) @ v
        return self.out_proj(heads.permute(0, 2, 1, 3).reshape(B, L, D).to(x.dtype))


def truncated_self_attention(q, k, v, window):
    n, d, dtype = q.shape[-2], q.shape[-1], q.dtype
    window = min(window, n - 1)
    q, k, v = q.double(), k.double(), v.double()
    columns = []
    for offset in range(-window, window + 1):
        start, stop = max(0, -offset), min(n, n - offset)
        score = (q[..., start:stop, :] * k[..., start + offset : stop + offset, :]).sum(-1) / d**0.5
        columns.append(F.pad(score, (start, n - stop), value=-math.inf))
    weights = torch.stack(columns, -1).softmax(-1)
    output = torch.zeros_like(v)
    for column, offset in enumerate(range(-window, window + 1)):
        start, stop = max(0, -offset), min(n, n - offset)
        part = weights[..., start:stop, column, None] * v[..., start + offset : stop + offset, :]
        output = output + F.pad(part, (0, 0, start, n - stop))
    return output.to(dtype)
