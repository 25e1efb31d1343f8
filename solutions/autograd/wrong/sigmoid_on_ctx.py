"""The input is kept as an attribute of ctx.

exercise: sigmoid
caught-by: sigmoid_saved
"""


class SigmoidFn(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.x = x
        y = x.clamp(max=0).exp() / (1 + (-x.abs()).exp())
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, grad_output):
        (y,) = ctx.saved_tensors
        return grad_output * y * (1 - y)
