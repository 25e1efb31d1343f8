"""Windows by blocks of queries that meet the three blocks of keys around them; heads are part of the batch."""


class MultiHeadSelfAttention(nn.Module):
    def __init__(self, d_model, n_heads, bias=True):
        if d_model % n_heads:
            raise ValueError("d_model must be a multiple of n_heads")
        nn.Module.__init__(self)
        self.n_heads = n_heads
        self.add_module("q_proj", nn.Linear(d_model, d_model, bias=bias))
        self.add_module("k_proj", nn.Linear(d_model, d_model, bias=bias))
        self.add_module("v_proj", nn.Linear(d_model, d_model, bias=bias))
        self.add_module("out_proj", nn.Linear(d_model, d_model, bias=bias))

    def forward(self, x, mask=None, causal=False):
        B, L, D = x.shape
        H, h = self.n_heads, D // self.n_heads

        def heads(y):
            return y.reshape(B, L, H, h).transpose(1, 2).reshape(B * H, L, h)

        if mask is not None:
            if mask.dtype != torch.bool:
                raise TypeError("mask")
            mask = mask.expand(B, H, L, L).reshape(B * H, L, L)
        if causal:
            mask = torch.ones(L, L).tril() > 0 if mask is None else mask.tril()
        y = scaled_dot_product_attention(heads(self.q_proj(x)), heads(self.k_proj(x)), heads(self.v_proj(x)), mask)
        return self.out_proj(y.reshape(B, H, L, h).transpose(1, 2).reshape(B, L, D))


def truncated_self_attention(q, k, v, window):
    n, size = q.shape[-2], max(1, window)
    if window >= n:
        return scaled_dot_product_attention(q, k, v)
    blocks = -(-n // size)
    fill = blocks * size - n

    def three(x):
        x = F.pad(x, (0, 0, size, size + fill)).unflatten(-2, (blocks + 2, size))
        return torch.cat([x[..., :-2, :, :], x[..., 1:-1, :, :], x[..., 2:, :, :]], dim=-2)

    queries = F.pad(q, (0, 0, 0, fill)).unflatten(-2, (blocks, size))
    row = torch.arange(blocks * size).view(blocks, size, 1)
    column = (torch.arange(blocks)[:, None] * size + torch.arange(-size, 2 * size)).view(blocks, 1, 3 * size)
    mask = ((row - column).abs() <= window) & (column >= 0) & (column < n)
    return scaled_dot_product_attention(queries, three(k), three(v), mask).flatten(-3, -2)[..., :n, :]
