"""The input is saved, and the output computed again.

exercise: sigmoid
caught-by: sigmoid_saved
"""


class SigmoidFn(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(max=0).exp() / (1 + (-x.abs()).exp())

    @staticmethod
    def backward(ctx, grad_output):
        (x,) = ctx.saved_tensors
        y = SigmoidFn.apply(x)
        return grad_output * y * (1 - y)
