"""In place on tensors of its own; encodings are assigned column by column; one large matrix for three maps."""


def scaled_dot_product_attention(q, k, v, mask=None, *, return_weights=False):
    scores = torch.matmul(q, k.transpose(-2, -1))
    scores.mul_(1 / math.sqrt(q.shape[-1]))
    if mask is None:
        weights = scores.softmax(-1)
    elif mask.dtype == torch.bool:
        hidden = mask.logical_not()
        weights = scores.masked_fill_(hidden, float("-inf")).softmax(-1).nan_to_num(0.0).masked_fill(hidden, 0.0)
    else:
        raise TypeError("mask must be a boolean tensor")
    output = weights.matmul(v)
    return (output, weights) if return_weights else output


def causal_mask(n):
    mask = torch.zeros(n, n, dtype=torch.bool)
    for i in range(n):
        mask[i, : i + 1] = True
    return mask


def padding_mask(lengths, L):
    mask = torch.zeros(len(lengths), 1, 1, L, dtype=torch.bool)
    for row, length in zip(mask, lengths.tolist(), strict=True):
        row[..., :length] = True
    return mask


def positional_encoding(n, d, base=10000.0):
    P = torch.zeros(n, d, dtype=torch.float64)
    position = torch.arange(n, dtype=torch.float64).unsqueeze(1)
    divisor = torch.exp(torch.arange(0, d, 2, dtype=torch.float64) * (-math.log(base) / d))
    P[:, 0::2] = torch.sin(position * divisor)
    P[:, 1::2] = torch.cos(position * divisor[: d // 2])
    return P.to(torch.float32)


class MultiHeadSelfAttention(nn.Module):
    def __init__(self, d_model, n_heads, bias=True):
        super().__init__()
        if d_model % n_heads != 0:
            raise ValueError(f"{n_heads} does not divide {d_model}")
        self.n_heads = n_heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (
            nn.Linear(d_model, d_model, bias=bias) for _ in range(4)
        )

    def forward(self, x, mask=None, causal=False):
        B, L, D = x.shape
        maps = (self.q_proj, self.k_proj, self.v_proj)
        weight = torch.cat([each.weight for each in maps])
        bias = None if self.q_proj.bias is None else torch.cat([each.bias for each in maps])
        q, k, v = F.linear(x, weight, bias).view(B, L, 3, self.n_heads, -1).permute(2, 0, 3, 1, 4)
        if causal:
            past = causal_mask(L)
            mask = past if mask is None else past.logical_and(mask) if mask.dtype == torch.bool else mask
        return self.out_proj(scaled_dot_product_attention(q, k, v, mask).transpose(1, 2).reshape(B, L, D))
