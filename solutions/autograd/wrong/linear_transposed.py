"""The gradient of w has the shape of its transpose.

exercise: linear
caught-by: linear_values
"""


class LinearFn(LinearFn):
    @staticmethod
    def backward(ctx, grad_output):
        x, w = ctx.saved_tensors
        return grad_output @ w, x.T @ grad_output, grad_output.sum(0)
