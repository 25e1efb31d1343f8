"""The factor 1 − y is missing.

exercise: sigmoid
caught-by: sigmoid_values
told: the factor 1 − y is missing
"""


class SigmoidFn(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = x.clamp(max=0).exp() / (1 + (-x.abs()).exp())
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, grad_output):
        (y,) = ctx.saved_tensors
        return grad_output * y
