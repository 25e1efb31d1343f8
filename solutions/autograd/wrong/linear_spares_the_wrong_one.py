"""needs_input_grad of x decides about w, and the other way round.

exercise: linear
caught-by: linear_needed
"""


class LinearFn(LinearFn):
    @staticmethod
    def backward(ctx, grad_output):
        x, w = ctx.saved_tensors
        needs_w, needs_x, needs_b = ctx.needs_input_grad
        rows = grad_output.reshape(-1, len(w))
        dx = grad_output @ w if needs_x else None
        dw = rows.T @ x.reshape(-1, w.shape[1]) if needs_w else None
        return dx, dw, rows.sum(0) if needs_b else None
