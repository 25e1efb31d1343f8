"""A loop over the first dimension, which a scalar does not have.

exercise: sigmoid
caught-by: sigmoid_shapes
"""


class SigmoidFn(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = torch.stack([row.clamp(max=0).exp() / (1 + (-row.abs()).exp()) for row in x])
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, grad_output):
        (y,) = ctx.saved_tensors
        return grad_output * y * (1 - y)
