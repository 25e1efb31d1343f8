"""A hand-written backward whose logarithm is a constant to autograd: right once, not twice.

exercise: information
caught-by: information_gradients
"""


class _Entropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, p, dim):
        ctx.slope, ctx.dim = -p.log() - 1, dim
        return -torch.xlogy(p, p).sum(dim)

    @staticmethod
    def backward(ctx, upstream):
        return upstream.unsqueeze(ctx.dim) * ctx.slope, None


def entropy(p, dim=-1):
    return _Entropy.apply(p, dim)
