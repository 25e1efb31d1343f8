"""x.T for more than two dimensions.

exercise: linear
caught-by: linear_batches
"""


class LinearFn(LinearFn):
    @staticmethod
    def backward(ctx, grad_output):
        x, w = ctx.saved_tensors
        dx = grad_output @ w if ctx.needs_input_grad[0] else None
        dw = grad_output.T @ x if ctx.needs_input_grad[1] else None
        db = grad_output.sum(0) if ctx.needs_input_grad[2] else None
        return dx, dw, db
