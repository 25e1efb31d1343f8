"""A hand-written backward whose probabilities are a constant to autograd: right once, not twice.

exercise: softmax
caught-by: softmax_gradients
"""


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, dim):
        p = (x - x.amax(dim, keepdim=True)).exp()
        ctx.p, ctx.dim = p / p.sum(dim, keepdim=True), dim
        return ctx.p.clone()

    @staticmethod
    def backward(ctx, upstream):
        return ctx.p * (upstream - (ctx.p * upstream).sum(ctx.dim, keepdim=True)), None


def softmax(x, dim=-1):
    return _Softmax.apply(x, dim)
