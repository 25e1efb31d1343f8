"""The gradient of the bias is averaged over the samples.

exercise: linear
caught-by: linear_values
told: the gradient was averaged over the samples; it is their sum
"""


class LinearFn(LinearFn):
    @staticmethod
    def backward(ctx, grad_output):
        x, w = ctx.saved_tensors
        rows = grad_output.reshape(-1, len(w))
        return grad_output @ w, rows.T @ x.reshape(-1, w.shape[1]), rows.mean(0) if ctx.needs_input_grad[2] else None
