"""No gradient for the keys' map.

exercise: multihead
caught-by: multihead_gradients
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
            for project in (
                self.q_proj,
                lambda x: F.linear(
                    x,
                    self.k_proj.weight.detach(),
                    self.k_proj.bias if self.k_proj.bias is None else self.k_proj.bias.detach(),
                ),
                self.v_proj,
            )
        )
        heads = scaled_dot_product_attention(q, k, v, mask)
        return self.out_proj(heads.transpose(1, 2).flatten(2))
