"""The loss is taken to be the sum of the outputs.

exercise: linear
caught-by: linear_values
told: the gradient that comes in was ignored
"""


class LinearFn(LinearFn):
    @staticmethod
    def backward(ctx, grad_output):
        x, w = ctx.saved_tensors
        ones = torch.ones_like(grad_output)
        return ones @ w, ones.T @ x, ones.sum(0)
