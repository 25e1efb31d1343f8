"""backward returns the derivative, without the gradient that comes in.

exercise: sigmoid
caught-by: sigmoid_values
told: backward ignored the gradient that comes in
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
        return y * (1 - y)
