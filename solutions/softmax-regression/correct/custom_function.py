"""A torch.autograd.Function with a hand-written backward that can itself be differentiated."""


class _LogSumExp(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, dim):
        m = x.amax(dim, keepdim=True)
        m = torch.where(m.isfinite(), m, torch.zeros_like(m))
        result = (x - m).exp().sum(dim, keepdim=True).log() + m
        ctx.save_for_backward(x)
        ctx.dim = dim
        return result

    @staticmethod
    def backward(ctx, upstream):
        (x,) = ctx.saved_tensors
        return upstream * (x - _LogSumExp.apply(x, ctx.dim)).exp(), None


def logsumexp(x, dim, keepdim=False):
    result = _LogSumExp.apply(x, dim)
    return result if keepdim else result.squeeze(dim)


def log_softmax(x, dim=-1):
    return x - logsumexp(x, dim, keepdim=True)


def softmax(x, dim=-1):
    return torch.exp(log_softmax(x, dim))
