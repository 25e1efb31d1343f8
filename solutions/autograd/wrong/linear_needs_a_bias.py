"""b is taken to be a tensor always.

exercise: linear
caught-by: linear_without_bias
"""


class LinearFn(LinearFn):
    @staticmethod
    def forward(ctx, x, w, b):
        ctx.save_for_backward(x, w)
        return x @ w.T + b
