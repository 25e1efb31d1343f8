"""The output was saved, and backward takes its sigmoid again.

exercise: sigmoid
caught-by: sigmoid_values
told: backward took the sigmoid of what was saved once more; the output was saved
"""


class SigmoidFn(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = x.clamp(max=0).exp() / (1 + (-x.abs()).exp())
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, grad_output):
        (x,) = ctx.saved_tensors
        y = 1 / (1 + (-x).exp())
        return grad_output * y * (1 - y)
