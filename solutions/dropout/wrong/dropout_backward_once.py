"""A backward of its own that cannot be differentiated again.

exercise: dropout
caught-by: dropout_gradient
"""


class _Masked(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, mask):
        ctx.save_for_backward(mask)
        return x * mask

    @staticmethod
    def backward(ctx, upstream):
        return (upstream * ctx.saved_tensors[0]).detach(), None


def dropout(x, p=0.5, training=True, generator=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    if not training:
        return x
    return _Masked.apply(x, dropout_mask(x.shape, p, generator=generator, dtype=x.dtype))
