"""A hand-written backward whose softmax is a constant to autograd: right once, not twice.

exercise: logsumexp
caught-by: logsumexp_gradients
"""


class _LogSumExp(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, dim):
        m = x.amax(dim, keepdim=True)
        m = m.masked_fill(m.isinf(), 0.0)
        weights = (x - m).exp()
        total = weights.sum(dim, keepdim=True)
        ctx.softmax = weights / total
        return total.log() + m

    @staticmethod
    def backward(ctx, upstream):
        return upstream * ctx.softmax, None


def logsumexp(x, dim, keepdim=False):
    result = _LogSumExp.apply(x, dim)
    return result if keepdim else result.squeeze(dim)
