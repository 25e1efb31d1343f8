"""The output is kept on ctx without save_for_backward: autograd cannot differentiate backward.

exercise: sigmoid
caught-by: sigmoid_values
"""


class SigmoidFn(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.y = x.clamp(max=0).exp() / (1 + (-x.abs()).exp())
        return ctx.y.clone()

    @staticmethod
    def backward(ctx, grad_output):
        return grad_output * ctx.y * (1 - ctx.y)
