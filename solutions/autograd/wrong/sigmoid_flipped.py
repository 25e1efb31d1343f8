"""exp(x) where exp(−x) belongs.

exercise: sigmoid
caught-by: sigmoid_values
told: the sign of the exponent was lost: that is σ(−x)
"""


class SigmoidFn(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = 1 / (1 + x.exp())
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, grad_output):
        (y,) = ctx.saved_tensors
        return -grad_output * y * (1 - y)
