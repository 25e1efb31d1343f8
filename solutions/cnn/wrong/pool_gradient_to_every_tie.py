"""Each of several maxima gets the whole gradient.

exercise: pooling
caught-by: max_pool_ties
"""

import torch


class Maximum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, windows):
        best = windows.amax((-2, -1))
        ctx.save_for_backward(windows == best[..., None, None])
        return best

    @staticmethod
    def backward(ctx, upstream):
        (chosen,) = ctx.saved_tensors
        return upstream[..., None, None] * chosen


def max_pool2d(x, k, stride=None, padding=0):
    (kh, kw), (ph, pw) = pair(k), pair(padding)
    sh, sw = pair(k if stride is None else stride)
    if 2 * ph > kh or 2 * pw > kw:
        raise ValueError("the frame is wider than half a window")
    x = pad2d(x, padding, float("-inf"))
    if x.shape[2] < kh or x.shape[3] < kw:
        raise ValueError("no window fits")
    return Maximum.apply(x.unfold(2, kh, sh).unfold(3, kw, sw))
