"""Input and output are saved.

exercise: sigmoid
caught-by: sigmoid_saved
"""


class SigmoidFn(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = x.clamp(max=0).exp() / (1 + (-x.abs()).exp())
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx, grad_output):
        _, y = ctx.saved_tensors
        return grad_output * y * (1 - y)
