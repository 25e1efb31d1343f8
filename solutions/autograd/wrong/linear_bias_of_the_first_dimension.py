"""The bias collects over the first dimension only.

exercise: linear
caught-by: linear_batches
"""


class LinearFn(LinearFn):
    @staticmethod
    def backward(ctx, grad_output):
        x, w = ctx.saved_tensors
        rows = grad_output.reshape(-1, len(w))
        dx = grad_output @ w if ctx.needs_input_grad[0] else None
        dw = rows.T @ x.reshape(-1, w.shape[1]) if ctx.needs_input_grad[1] else None
        db = grad_output.sum(0) if ctx.needs_input_grad[2] else None
        return dx, dw, db
