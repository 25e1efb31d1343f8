"""A single sample without a batch dimension is not thought of.

exercise: linear
caught-by: linear_batches
"""


class LinearFn(LinearFn):
    @staticmethod
    def forward(ctx, x, w, b):
        n, i = x.flatten(0, -2).shape
        ctx.save_for_backward(x, w)
        y = x @ w.T
        return y if b is None else y + b
