"""needs_input_grad is not asked.

exercise: linear
caught-by: linear_needed
"""


class LinearFn(LinearFn):
    @staticmethod
    def backward(ctx, grad_output):
        x, w = ctx.saved_tensors
        rows = grad_output.reshape(-1, len(w))
        db = rows.sum(0) if ctx.needs_input_grad[2] else None
        return grad_output @ w, rows.T @ x.reshape(-1, w.shape[1]), db
