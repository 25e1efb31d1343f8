"""The row sum as a matrix product with ones, computed whether it is needed or not.

exercise: linear
caught-by: linear_needed
"""


class LinearFn(LinearFn):
    @staticmethod
    def backward(ctx, grad_output):
        x, w = ctx.saved_tensors
        needs_x, needs_w, needs_b = ctx.needs_input_grad
        rows = grad_output.reshape(-1, len(w))
        extended = torch.cat([x.reshape(-1, w.shape[1]), torch.ones_like(rows[:, :1])], dim=1)
        both = rows.T @ extended
        return grad_output @ w if needs_x else None, both[:, :-1] if needs_w else None, both[:, -1] if needs_b else None
