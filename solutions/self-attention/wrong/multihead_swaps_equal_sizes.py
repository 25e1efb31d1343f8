"""Guesses the layout: with as many tokens as heads, it takes them for heads.

exercise: multihead
caught-by: multihead_equal_sizes
"""


class MultiHeadSelfAttention(nn.Module):
    def __init__(self, d_model, n_heads, bias=True):
        super().__init__()
        if d_model % n_heads != 0:
            raise ValueError(f"{d_model} features cannot be shared evenly by {n_heads} heads")
        self.n_heads = n_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=bias)
        self.k_proj = nn.Linear(d_model, d_model, bias=bias)
        self.v_proj = nn.Linear(d_model, d_model, bias=bias)
        self.out_proj = nn.Linear(d_model, d_model, bias=bias)

    def forward(self, x, mask=None, causal=False):
        if causal:
            past = causal_mask(x.shape[1])
            mask = past if mask is None else mask & past
        q, k, v = (project(x).unflatten(2, (self.n_heads, -1)) for project in (self.q_proj, self.k_proj, self.v_proj))
        if x.shape[1] != self.n_heads:
            q, k, v = (each.transpose(1, 2) for each in (q, k, v))
        heads = scaled_dot_product_attention(q, k, v, mask)
        if x.shape[1] != self.n_heads:
            heads = heads.transpose(1, 2)
        return self.out_proj(heads.flatten(2))
