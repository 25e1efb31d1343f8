"""A torch.autograd.Function that keeps the mask for a backward of its own."""


class _Masked(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, mask):
        ctx.save_for_backward(mask)
        return x * mask

    @staticmethod
    def backward(ctx, upstream):
        (mask,) = ctx.saved_tensors
        return _Masked.apply(upstream, mask), None


def dropout(x, p=0.5, training=True, generator=None):
    if not 0 <= p <= 1:
        raise ValueError("bad p")
    if not training:
        return x
    return _Masked.apply(x, dropout_mask(tuple(x.shape), p, generator=generator, dtype=x.dtype, device=x.device))


class StandardDropout(nn.Module):
    def __init__(self, p=0.5, generator=None):
        nn.Module.__init__(self)
        if not 0 <= p <= 1:
            raise ValueError("bad p")
        self.p = p
        self.generator = generator

    def forward(self, x):
        if self.training:
            mask = torch.bernoulli(torch.full_like(x, 1 - self.p), generator=self.generator)
        else:
            mask = torch.full_like(x, 1 - self.p)
        return _Masked.apply(x, mask)
