"""exp(x) / (1 + exp(x)) for all numbers: ∞ / ∞ for large ones.

exercise: sigmoid
caught-by: sigmoid_extremes
"""


class SigmoidFn(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = x.exp() / (1 + x.exp())
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, grad_output):
        (y,) = ctx.saved_tensors
        return grad_output * y * (1 - y)
