"""A loop over the heads.

exercise: multihead
caught-by: multihead_operations
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
        q, k, v = (
            project(x).unflatten(2, (self.n_heads, -1)).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        masks = (
            [None] * self.n_heads
            if mask is None
            else mask
            if mask.dtype != torch.bool
            else mask.expand(len(x), self.n_heads, x.shape[1], x.shape[1]).unbind(1)
        )
        heads = torch.stack(
            [scaled_dot_product_attention(*each) for each in zip(q.unbind(1), k.unbind(1), v.unbind(1), masks)], 1
        )
        return self.out_proj(heads.transpose(1, 2).flatten(2))
