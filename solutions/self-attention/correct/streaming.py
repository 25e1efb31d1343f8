"""Log-sum-exp, complex numbers for the clocks, and a softmax over the window that is kept up while offsets go by."""


def scaled_dot_product_attention(q, k, v, mask=None, *, return_weights=False):
    scores = torch.matmul(q, k.transpose(-1, -2)) * (1 / math.sqrt(q.shape[-1]))
    if mask is None:
        weights = (scores - scores.logsumexp(-1, keepdim=True)).exp()
    elif mask.dtype == torch.bool:
        empty = torch.logical_not(mask).all(-1, keepdim=True)
        scores = scores.masked_fill(torch.logical_not(mask), -math.inf).masked_fill(empty, 0.0)
        weights = (scores - scores.logsumexp(-1, keepdim=True)).exp().masked_fill(empty, 0.0)
    else:
        raise TypeError("bool")
    output = torch.matmul(weights, v)
    return (output, weights) if return_weights else output


def positional_encoding(n, d, base=10000.0):
    speeds = [math.exp(-2 * i * math.log(base) / d) for i in range((d + 1) // 2)]
    angle = torch.outer(torch.arange(n).double(), torch.tensor(speeds, dtype=torch.float64))
    clocks = torch.polar(torch.ones_like(angle), angle)
    pairs = torch.view_as_real(clocks).flip(-1)
    return pairs.reshape(n, -1)[:, :d].to(torch.float32).contiguous()


def truncated_self_attention(q, k, v, window):
    n, scale = q.shape[-2], q.shape[-1] ** -0.5
    peak = (q * k).sum(-1, keepdim=True).mul(scale).detach()
    total = torch.zeros_like(peak)
    output = torch.zeros_like(v)
    for offset in range(max(-window, 1 - n), min(window, n - 1) + 1):
        low, high = max(0, -offset), min(n, n - offset)
        score = scale * (q[..., low:high, :] * k[..., low + offset : high + offset, :]).sum(-1, keepdim=True)
        score = F.pad(score, (0, 0, low, n - high), value=-math.inf)
        value = F.pad(v[..., low + offset : high + offset, :], (0, 0, low, n - high))
        higher = torch.maximum(peak, score.detach())
        shrink, part = (peak - higher).exp(), (score - higher).exp()
        total, output, peak = total * shrink + part, output * shrink + part * value, higher
    return output / total


class MultiHeadSelfAttention(nn.Module):
    def __init__(self, d_model, n_heads, bias=True):
        super().__init__()
        if (d_model / n_heads) % 1:
            raise ValueError(f"cannot share {d_model} by {n_heads}")
        self.shape = (n_heads, d_model // n_heads)
        self.q_proj, self.k_proj = nn.Linear(d_model, d_model, bias=bias), nn.Linear(d_model, d_model, bias=bias)
        self.v_proj, self.out_proj = nn.Linear(d_model, d_model, bias=bias), nn.Linear(d_model, d_model, bias=bias)

    def forward(self, x, mask=None, causal=False):
        q, k, v = (p(x).unflatten(-1, self.shape).swapaxes(-2, -3) for p in (self.q_proj, self.k_proj, self.v_proj))
        if causal:
            visible = torch.arange(x.size(1)).ge(torch.arange(x.size(1)).unsqueeze(-1)).T
            mask = visible if mask is None else visible.logical_and(mask)
        return self.out_proj(scaled_dot_product_attention(q, k, v, mask).swapaxes(-2, -3).flatten(-2))
