"""The future costs 30, which hides it nearly.

exercise: multihead
caught-by: multihead_causal
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
        q, k, v = (
            project(x).unflatten(2, (self.n_heads, -1)).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        scores = q @ k.mT / q.shape[-1] ** 0.5
        if causal:
            scores = scores - 30.0 * ~causal_mask(x.shape[1])
        if mask is None:
            mask = torch.tensor(True)
        if mask.dtype != torch.bool:
            raise TypeError("boolean masks only")
        heads = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(-1).masked_fill(~mask, 0) @ v
        return self.out_proj(heads.transpose(1, 2).flatten(2))
