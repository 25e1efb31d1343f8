"""Hidden checks of softmax regression: 70 of the 100 points.

The gates are in test_public.py. Values and gradients are compared in float64, except where float32 is the point;
where logits are large, the tolerance grows with them, because that is what correct code loses to rounding.
"""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from grader.checks import check, close, contract, fail, holds, probe, race, spy, watch

F64 = torch.float64
INF = math.inf

# What may be raised for a label that no class has, or that is not an integer: what indexing, gather and scatter
# raise by themselves is as good as an explicit ValueError.
LABEL_ERRORS = (ValueError, TypeError, IndexError, RuntimeError)


def scaled(x):
    """The tolerance for logits ``x``: 16 ulp of the largest finite one, or of 1."""
    finite = x[x.isfinite()].abs()
    tolerance = 16 * torch.finfo(x.dtype).eps * (1 + (finite.max().item() if len(finite) else 0.0))
    return {"rtol": tolerance, "atol": tolerance}


def randn(rng, *shape):
    """Standard normal float64 numbers."""
    return torch.randn(*shape, generator=rng, dtype=F64)


def random_probabilities(rng, *shape):
    """Strictly positive rows that sum to one."""
    return torch.softmax(randn(rng, *shape), -1)


def differentiable(fn, *inputs):
    """Compare the gradients of ``fn``, and the gradients of its gradients, with finite differences.

    The fast mode compares them along one direction, which is drawn from a fixed seed: a tenth of the calls.
    """
    inputs = tuple(value.clone().requires_grad_() for value in inputs)
    if not torch.autograd.gradcheck(fn, inputs, raise_exception=False, fast_mode=True):
        fail("The gradient is not the derivative of the result.", kind="gradient")
    if not torch.autograd.gradgradcheck(fn, inputs, raise_exception=False, fast_mode=True):
        fail("The gradient of the gradient is not the second derivative of the result.", kind="gradient")


def gradient_of(output, x):
    """The gradient of the sum of ``output``; a sentence for the student where autograd cannot give it."""
    if not output.requires_grad:
        fail("The result is cut off from autograd: gradients cannot flow back to the input.", kind="gradient")
    return torch.autograd.grad(output.sum(), x)[0]


# ----------------------------------------------------------------------------------------------- 1. logsumexp


@check("logsumexp", points=2, hint="Reduce dim only; keepdim=True keeps it with size 1, keepdim=False removes it.")
def test_logsumexp_dims(student, rng):
    """logsumexp reduces any dimension of tensors with one to four, with and without keepdim."""
    for shape, dims in (((5,), (0, -1)), ((2, 3, 4), (0, 1, 2, -2)), ((2, 1, 3, 2), (-1, 1))):
        x = randn(rng, *shape)
        for dim in dims:
            close(student.logsumexp(x, dim), torch.logsumexp(x, dim))
            due = torch.logsumexp(x, dim, keepdim=True)
            close(student.logsumexp(x, dim, keepdim=True), due, what="the result with keepdim")


@check(
    "logsumexp",
    points=2,
    hint="If the maximum is −∞ or +∞, then x − max is nan somewhere: subtract 0 there instead.",
)
def test_logsumexp_infinities(student):
    """logsumexp gives −∞ for a row of −∞, +∞ for a row with +∞, and ignores single entries of −∞."""
    x = torch.tensor(
        [[-INF, -INF, -INF], [INF, 0.0, 1.0], [INF, -INF, 2.0], [-INF, 3.0, -INF], [INF, INF, 0.0], [0.0, 0.0, -INF]],
        dtype=F64,
    )
    close(student.logsumexp(x, dim=1), torch.tensor([-INF, INF, INF, 3.0, INF, math.log(2)], dtype=F64))
    close(student.logsumexp(x.t().contiguous().float(), dim=0), torch.logsumexp(x, 1).float())
    row = torch.tensor([[0.5, -INF, 1.5]], dtype=F64, requires_grad=True)
    close(
        gradient_of(student.logsumexp(row, dim=1), row), torch.softmax(row.detach(), 1), what="the gradient with a −∞"
    )


@check("logsumexp", points=1, hint="Each slice along dim needs its own maximum: amax(dim, keepdim=True).")
def test_logsumexp_extremes(student):
    """logsumexp is right for logits of ±10⁴, around the limits of float32, and for very unequal rows."""
    rows = [[1e4, 1e4, -1e4], [-1e4, -1e4, -1e4], [88.8, 88.8, 0.0], [-104.0, -104.0, -105.0], [0.0, 1.0, 0.5]]
    traps = [[0.0, 1.0, 0.0], [5000.0, 5001.0, 5000.0]]
    for values in (rows, traps):
        for dtype in (F64, torch.float32):
            x = torch.tensor(values, dtype=dtype)
            for row in (x, x[:1], x[-1:]):
                close(
                    student.logsumexp(row, dim=1),
                    torch.logsumexp(row, 1),
                    **scaled(row),
                    misconceptions={
                        "one maximum was used for the whole tensor; each row needs its own": (
                            (row - row.max()).exp().sum(1).log() + row.max()
                        ),
                        "exp was taken without subtracting the maximum": row.exp().sum(1).log(),
                    },
                )
            close(student.logsumexp(x.t(), dim=0), torch.logsumexp(x, 1), **scaled(x))


@check("logsumexp", points=1, hint="Whatever precision you work in, give back the dtype of x.")
def test_logsumexp_dtype(student):
    """logsumexp keeps the dtype of its input."""
    for dtype in (torch.float32, F64, torch.bfloat16, torch.float16):
        x = torch.tensor([[0.0, 1.0, 2.0], [3.0, 3.0, 3.0]], dtype=dtype)
        close(student.logsumexp(x, dim=-1), torch.logsumexp(x.double(), -1).to(dtype), rtol=0.02, atol=0.02)


@check("logsumexp", points=2, hint="Nothing that cuts the graph (.item(), .detach() of the result, numpy) may be used.")
def test_logsumexp_gradients(student, rng):
    """logsumexp can be differentiated twice, along any dimension and for equal entries too."""
    differentiable(lambda x: student.logsumexp(x, 1), randn(rng, 2, 3))
    differentiable(lambda x: student.logsumexp(x, 0, keepdim=True), 300 + randn(rng, 3, 2))
    ties = torch.zeros(1, 4, dtype=F64, requires_grad=True)
    close(gradient_of(student.logsumexp(ties, dim=1), ties), torch.full((1, 4), 0.25, dtype=F64), what="the gradient")


@check("logsumexp", points=1, hint="Copy before you write in place, and leave the settings of PyTorch alone.")
def test_logsumexp_side_effects(student, rng):
    """logsumexp leaves its arguments and PyTorch's global state alone, also for infinite entries and in 3-D."""
    x = randn(rng, 2, 3, 4)
    x[0, 0] = -INF
    contract(student.logsumexp, x, dim=2)
    contract(student.logsumexp, x.float(), dim=-2, keepdim=True)
    contract(student.logsumexp, randn(rng, 1, 3), dim=0)


# ------------------------------------------------------------------------------------------------- 2. softmax

EXTREME_ROWS = [
    [0.0, -200.0, 1000.0],
    [1e4, 0.0, -1e4],
    [-1e4, -1e4, -1e4],
    [88.8, 88.8, 0.0],
    [-104.0, -104.0, -104.0],
    [0.0, 1.0, 2.0],
]
TRAP_ROWS = [[0.0, 1.0], [5000.0, 5001.0]]
MASKED_ROWS = [[0.5, -INF, 1.5], [-INF, -INF, 2.0], [-INF, 1000.0, 1000.0]]


@check("softmax", points=1, hint="Maximum and sum are taken along dim, with keepdim=True; the default is the last.")
def test_softmax_dims(student, rng):
    """softmax works along any dimension of tensors with one to four; the last is the default."""
    for shape, dims in (((5,), (0, -1)), ((2, 3, 4), (0, 1, 2, -2)), ((2, 1, 3, 2), (-1, 1))):
        x = randn(rng, *shape)
        close(student.softmax(x), torch.softmax(x, -1))
        for dim in dims:
            close(student.softmax(x, dim), torch.softmax(x, dim))
    contract(student.softmax, randn(rng, 2, 3, 4), 1)


@check("softmax", points=2, hint="Subtract each row's own maximum: not none, and not one for the whole tensor.")
def test_softmax_extremes(student):
    """softmax is finite and right for logits of any size, for very unequal rows and for entries of −∞."""
    for rows in (EXTREME_ROWS, TRAP_ROWS, MASKED_ROWS):
        for dtype in (F64, torch.float32):
            x = torch.tensor(rows, dtype=dtype)
            close(
                student.softmax(x, dim=1),
                torch.softmax(x, 1),
                **scaled(x),
                misconceptions={
                    "one maximum was used for the whole tensor; each row needs its own": (
                        (x - x.max()).exp() / (x - x.max()).exp().sum(1, keepdim=True)
                    ),
                    "exp was taken without subtracting the maximum": x.exp() / x.exp().sum(1, keepdim=True),
                },
            )
            close(student.softmax(x.t(), dim=0), torch.softmax(x, 1).t(), **scaled(x))


@check(
    "softmax", points=1, hint="The gradient of exp(x − max) / Σ exp(x − max) is right by itself: let autograd do it."
)
def test_softmax_gradients(student, rng):
    """softmax can be differentiated twice, and an entry of −∞ gets the gradient 0."""
    differentiable(lambda x: student.softmax(x, 0), randn(rng, 3, 2))
    row = torch.tensor([[0.5, -INF, 1.5]], dtype=F64, requires_grad=True)
    p = torch.softmax(row.detach(), 1)
    upstream = torch.tensor([[1.0, 2.0, 3.0]], dtype=F64)
    gradient = gradient_of(student.softmax(row, dim=1) * upstream, row)
    close(gradient, p * (upstream - (p * upstream).sum()), what="the gradient with a −∞")


@check(
    "softmax",
    points=2,
    depends=("log_softmax_values",),
    hint="log(softmax(x)) is −∞ where the softmax underflows. Use x − logsumexp(x) instead.",
)
def test_log_softmax_extremes(student):
    """log_softmax is right where the softmax itself is too small for a number, and for entries of −∞."""
    for rows in (EXTREME_ROWS, TRAP_ROWS, MASKED_ROWS):
        for dtype in (F64, torch.float32):
            x = torch.tensor(rows, dtype=dtype)
            p = torch.softmax(x, 1)
            close(
                student.log_softmax(x, dim=1),
                torch.log_softmax(x, 1),
                **scaled(x),
                misconceptions={
                    "the logarithm was taken of a softmax that had underflowed": p.log(),
                    **{
                        f"{small} was added before the logarithm": (p + float(small)).log()
                        for small in ("1e-8", "1e-9", "1e-10", "1e-12")
                    },
                    "one maximum was used for the whole tensor; each row needs its own": (
                        (x - x.max()) - (x - x.max()).exp().sum(1, keepdim=True).log()
                    ),
                },
            )
            close(student.log_softmax(x.t(), dim=0), torch.log_softmax(x, 1).t(), **scaled(x))


@check(
    "softmax",
    points=1,
    depends=("log_softmax_values",),
    hint="Along dim, with keepdim=True; and no operation that cuts the graph.",
)
def test_log_softmax_gradients(student, rng):
    """log_softmax works along any dimension and can be differentiated twice."""
    for shape, dims in (((5,), (0,)), ((2, 3, 4), (0, 1, 2, -2))):
        x = randn(rng, *shape)
        close(student.log_softmax(x), torch.log_softmax(x, -1))
        for dim in dims:
            close(student.log_softmax(x, dim), torch.log_softmax(x, dim))
    contract(student.log_softmax, randn(rng, 2, 3, 4), 1)
    differentiable(lambda x: student.log_softmax(x, 1), randn(rng, 2, 3))


# ------------------------------------------------------------------------------------------------- 3. one_hot


@check("one_hot", points=1, hint="The classes are a new last dimension: y.unsqueeze(-1) has the right shape to start.")
def test_one_hot_shapes(student, rng):
    """one_hot adds a last dimension of size q to labels of any shape, also to a single label."""
    for shape in ((), (1,), (7,), (2, 3), (2, 1, 4)):
        y = torch.randint(0, 5, shape, generator=rng)
        close(contract(student.one_hot, y, 5), torch.eye(5)[y])
    close(student.one_hot(torch.tensor([0, 0]), 1), torch.ones(2, 1))
    close(student.one_hot(torch.randint(0, 3, (4, 2), generator=rng).t(), 3).sum(-1), torch.ones(2, 4), what="the sum")


@check("one_hot", points=1, hint="The argument dtype is the dtype of the result.")
def test_one_hot_dtypes(student):
    """one_hot gives the dtype that is asked for."""
    y = torch.tensor([1, 0, 2])
    for dtype in (torch.float32, F64, torch.int64, torch.bool, torch.float16):
        close(student.one_hot(y, 3, dtype=dtype), torch.eye(3)[y].to(dtype))


@check("one_hot", points=2, hint="Indexing with −1 silently means the last class: check the labels first.")
def test_one_hot_errors(student):
    """one_hot raises ValueError or IndexError for labels below 0 or above q − 1."""
    for labels in ([0, 3], [5], [-1, 0], [0, -3]):
        with pytest.raises((ValueError, IndexError)):
            student.one_hot(torch.tensor(labels), 3)


# ------------------------------------------------------------------------------------------- 4. cross_entropy


def smoothed(logits, target, eps):
    """The definition of the smoothed loss per sample."""
    log_p = torch.log_softmax(logits, 1)
    return -(1 - eps) * log_p[torch.arange(len(target)), target] - eps * log_p.mean(1)


def reduced(losses, reduction):
    """The losses as they are, or their mean or sum."""
    return losses if reduction == "none" else getattr(losses, reduction)()


@check("cross_entropy", points=1, hint='"mean" and "sum" are over the samples; "none" gives one loss for each sample.')
def test_cross_entropy_reductions(student, rng):
    """cross_entropy has the reductions mean, sum and none."""
    logits = randn(rng, 6, 4)
    target = torch.tensor([0, 3, 1, 1, 2, 0])
    losses = smoothed(logits, target, 0.0)
    for reduction in ("none", "sum", "mean"):
        close(contract(student.cross_entropy, logits, target, reduction=reduction), reduced(losses, reduction))
    logits32 = logits.float()
    close(student.cross_entropy(logits32, target, "none"), smoothed(logits32, target, 0.0))


@check(
    "cross_entropy",
    points=3,
    hint="(1 − ε) · nll + ε · the mean of −log p over all q classes, the true one included, in every reduction.",
)
def test_cross_entropy_smoothing(student, rng):
    """cross_entropy spreads the share ε of label smoothing evenly over all classes, as PyTorch does."""
    logits = 2 * randn(rng, 5, 4)
    target = torch.tensor([3, 0, 1, 1, 2])
    log_p = torch.log_softmax(logits, 1)
    nll = -log_p[torch.arange(5), target]
    for eps in (0.1, 0.3, 1.0):
        others = (nll - nll * eps) - eps / 3 * (log_p.sum(1) + nll)
        for reduction in ("mean", "sum", "none"):
            close(
                student.cross_entropy(logits, target, reduction=reduction, label_smoothing=eps),
                reduced(smoothed(logits, target, eps), reduction),
                misconceptions={
                    "ε was spread over the other q − 1 classes only; the true one gets its share too": reduced(
                        others, reduction
                    ),
                    "the smoothing was ignored": reduced(nll, reduction),
                    "the sum of −log p over the classes was used where their mean belongs": reduced(
                        (1 - eps) * nll - eps * log_p.sum(1), reduction
                    ),
                    "the true class kept its full weight; it is 1 − ε plus its even share": reduced(
                        nll - eps * log_p.mean(1), reduction
                    ),
                },
            )
    close(
        student.cross_entropy(logits.float(), target, label_smoothing=0.1),
        smoothed(logits.float(), target, 0.1).mean(),
    )


@check(
    "cross_entropy",
    points=3,
    hint="log(softmax) is −∞ here and log(softmax + ε) is capped: use logsumexp(logits) − logits[label].",
)
def test_cross_entropy_extremes(student):
    """cross_entropy of confident mistakes is exact, with logits of 2000 and 10 000, and so is its gradient."""
    for size in (2000.0, 1e4):
        for dtype in (F64, torch.float32):
            logits = torch.tensor([[size, 0.0, 0.0], [0.0, -size, -size], [-size, -size, 0.0]], dtype=dtype)
            logits.requires_grad_()
            target = torch.tensor([1, 1, 2])
            p = torch.softmax(logits.detach(), 1)
            losses = student.cross_entropy(logits, target, reduction="none")
            close(
                losses,
                torch.tensor([size, size, 0.0], dtype=dtype),
                misconceptions={
                    "a small number was added before the logarithm, which caps the loss": -(
                        (p + 1e-8).log()[range(3), target]
                    ),
                    "the probabilities were clamped, which caps the loss": -p.clamp(min=1e-12).log()[range(3), target],
                },
            )
            exact = torch.tensor([[1.0, -1.0, 0.0], [1.0, -1.0, 0.0], [0.0, 0.0, 0.0]], dtype=dtype)
            close(gradient_of(losses, logits), exact, what="the gradient")


@check(
    "cross_entropy",
    points=2,
    hint="Neither 1e-8 nor clamp: with the maximum subtracted, the logarithm never sees a zero.",
)
def test_cross_entropy_tiny(student):
    """cross_entropy of a confident success is tiny but right: log(1 + e⁻²⁰) at a margin of 20."""
    for margin in (10.0, 15.0, 20.0):
        logits = torch.tensor([[margin, 0.0], [-3.0, margin - 3.0]], dtype=F64)
        expected = torch.full((2,), math.log1p(math.exp(-margin)), dtype=F64)
        close(
            student.cross_entropy(logits, torch.tensor([0, 1]), reduction="none"),
            expected,
            rtol=1e-4,
            atol=0.0,
            misconceptions={
                "a small number was added to the probability before the logarithm": -((-expected).exp() + 1e-8).log(),
                "the probability was clamped below 1": -((-expected).exp().clamp(max=1 - 1e-7)).log(),
            },
        )


@check("cross_entropy", points=1, hint="squeeze() without a dimension removes more than you want when n or q is 1.")
def test_cross_entropy_shapes(student, rng):
    """cross_entropy works for one sample, for one class, and for as many samples as classes."""
    for n, q in ((1, 4), (4, 1), (1, 1), (4, 4), (3, 3)):
        logits = randn(rng, n, q)
        target = torch.randint(0, q, (n,), generator=rng)
        losses = smoothed(logits, target, 0.0)
        close(student.cross_entropy(logits, target, reduction="none"), losses)
        close(student.cross_entropy(logits, target), losses.mean())
        close(
            student.cross_entropy(logits.t().contiguous().t(), target, label_smoothing=0.2),
            smoothed(logits, target, 0.2).mean(),
        )


@check("cross_entropy", points=1, hint="Check reduction, the number of dimensions and the length of target first.")
def test_cross_entropy_bad_arguments(student):
    """cross_entropy raises ValueError for an unknown reduction and for shapes that do not fit."""
    logits, target = torch.zeros(4, 3), torch.tensor([0, 1, 2, 0])
    with pytest.raises(ValueError):
        student.cross_entropy(logits, target, reduction="median")
    for bad_logits, bad_target in (
        (logits, target[:3]),
        (logits[:1], target),
        (logits, target[:, None]),
        (logits[0], target[:1]),
        (logits.view(2, 2, 3), target[:2]),
    ):
        with pytest.raises(ValueError):
            student.cross_entropy(bad_logits, bad_target)


@check("cross_entropy", points=1, hint="Check the labels: indexing takes −1, and converting to integers takes 0.5.")
def test_cross_entropy_bad_labels(student):
    """cross_entropy raises an error for labels that are negative, too large or not integers."""
    logits = torch.zeros(3, 3)
    for labels in (
        torch.tensor([0, 1, 3]),
        torch.tensor([0, -1, 1]),
        torch.tensor([-100, 0, 1]),
        torch.tensor([0.0, 1.0, 2.0]),
    ):
        with pytest.raises(LABEL_ERRORS):
            student.cross_entropy(logits, labels)


@check("cross_entropy", points=2, hint="(softmax − target distribution), over n for the mean. Do not cut the graph.")
def test_cross_entropy_gradients(student, rng):
    """cross_entropy can be differentiated twice, with and without smoothing, in every reduction."""
    target = torch.tensor([1, 0])
    differentiable(lambda x: student.cross_entropy(x, target), randn(rng, 2, 3))
    differentiable(lambda x: student.cross_entropy(x, target, "none", 0.2), 50 + randn(rng, 2, 2))


@check("cross_entropy", points=2, hint="No loop over the samples: gather, or index with torch.arange(n) and target.")
def test_cross_entropy_operations(student, reference, rng):
    """cross_entropy needs no more operations for 256 samples than for 8, and at most 20 times our time."""
    counts = []
    for n in (8, 256):
        logits = torch.randn(n, 10, generator=rng)
        target = torch.randint(0, 10, (n,), generator=rng)
        counts.append(watch(student.cross_entropy, logits, target, backward=True).op_count)
    if counts[1] > counts[0] + 4:
        fail("The number of operations grows with the number of samples.", kind="cost")
    race(student.cross_entropy, reference.cross_entropy, many(rng, 2048, 100), at_most=20)


def many(rng, n, q):
    """Draws logits for about n samples, and their labels; never the same number of samples twice in a row."""

    def draw():
        samples = int(torch.randint(n - n // 16, n, (), generator=rng))
        return torch.randn(samples, q, generator=rng), torch.randint(0, q, (samples,), generator=rng)

    return draw


@check("cross_entropy", points=1, hint="Which intermediate tensors of the size of the logits do you really need?")
def test_cross_entropy_memory(student, reference, rng):
    """cross_entropy needs at most 4.5 times the memory of the logits at any time."""
    logits = torch.randn(256, 1000, generator=rng)
    target = torch.randint(0, 1000, (256,), generator=rng)
    if watch(student.cross_entropy, logits, target).peak_bytes > 4.5 * 4 * logits.numel():
        fail("The intermediate tensors together are too large.", kind="memory")
    holds(student.cross_entropy, reference.cross_entropy, many(rng, 4096, 2000), at_most=4)


# --------------------------------------------------------------------------------------------------- 5. grads


def exact_grads(X, y, W, b):
    """Loss and gradients by autograd, the labels as indices."""
    W, b = (value.detach().clone().requires_grad_() for value in (W, b))
    loss = torch.nn.functional.cross_entropy(X.detach() @ W + b, y)
    return (loss.detach(), *torch.autograd.grad(loss, (W, b)))


def close_grads(result, expected, **tolerance):
    """Compare loss, dW and db."""
    for got, value, what in zip(result, expected, ("the loss", "the gradient dW", "the gradient db"), strict=True):
        close(got, value, what=what, **tolerance)


@check("grads", points=4, hint="dW has the shape of W and is Xᵀ G; check n = 1, and d different from q.")
def test_grads_sizes(student, rng):
    """softmax_regression_grads is right for any number of samples, features and classes."""
    for n, d, q in ((1, 3, 4), (7, 1, 3), (4, 4, 4), (20, 6, 2), (3, 2, 1), (5, 3, 8)):
        X, W, b = randn(rng, n, d), randn(rng, d, q), randn(rng, q)
        y = torch.randint(0, q, (n,), generator=rng)
        close_grads(student.softmax_regression_grads(X, y, W, b), exact_grads(X, y, W, b))


@check("grads", points=4, hint="backward() adds to .grad. Differentiate detached copies, or use the closed form.")
def test_grads_parameters(student, rng):
    """softmax_regression_grads neither uses nor changes what is in the .grad of parameters."""
    X, y = randn(rng, 6, 3), torch.tensor([0, 1, 1, 0, 1, 0])
    W, b = torch.nn.Parameter(randn(rng, 3, 2)), torch.nn.Parameter(randn(rng, 2))
    expected = exact_grads(X, y, W, b)
    for stale in (None, 100.0):
        if stale is not None:
            W.grad, b.grad = torch.full_like(W, stale), torch.full_like(b, stale)
        result = contract(student.softmax_regression_grads, X, y, W, b)
        close_grads([value.detach() for value in result], expected)
        if stale is not None and not ((W.grad == stale).all() and (b.grad == stale).all()):
            fail("The .grad of a parameter was changed.", kind="mutation")
    contract(student.softmax_regression_grads, X.clone().requires_grad_(), y, W.detach(), b.detach())


@check("grads", points=3, hint="The loss from logits in the log domain, and a softmax that subtracts the maximum.")
def test_grads_extremes(student):
    """softmax_regression_grads is exact for logits of ±10⁴."""
    X = torch.tensor([[100.0, 0.0], [0.0, -100.0], [0.0, 0.01]], dtype=F64)
    W = torch.tensor([[100.0, 0.0, -100.0], [100.0, 0.0, -100.0]], dtype=F64)
    b = torch.zeros(3, dtype=F64)
    y = torch.tensor([2, 0, 1])
    for dtype in (F64, torch.float32):
        result = student.softmax_regression_grads(X.to(dtype), y, W.to(dtype), b.to(dtype))
        close_grads(result, exact_grads(X.to(dtype), y, W.to(dtype), b.to(dtype)))


# --------------------------------------------------------------------------------------------- 6. information


@check("information", points=1, hint="0 · log 0 is nan in floating point; torch.xlogy or torch.where makes it 0.")
def test_entropy_zeros(student):
    """entropy of a certain outcome is 0, of a uniform one log q; outcomes of probability 0 count for nothing."""
    p = torch.tensor(
        [[1.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0.0, 0.0], [1e-300, 1.0, 0.0, 0.0]], dtype=F64
    )
    expected = torch.tensor([0.0, math.log(4), math.log(2), 0.0], dtype=F64)
    added = {"a small number was added before the logarithm": -(p * (p + 1e-8).log()).sum(1)}
    close(student.entropy(p), expected, rtol=1e-12, atol=1e-12, misconceptions=added)
    close(student.entropy(p.t(), dim=0), expected, rtol=1e-12, atol=1e-12)
    contract(student.entropy, p[None], dim=1)


@check(
    "information",
    points=2,
    depends=("kl_divergence_values",),
    hint="p = 0 contributes 0 whatever q is; q = 0 < p contributes ∞. Adding 1e-8 gets both wrong.",
)
def test_kl_divergence_zeros(student):
    """kl_divergence ignores outcomes with p = 0, and is infinite if q = 0 where p > 0."""
    p = torch.tensor([[1.0, 0.0], [0.5, 0.5], [1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [1e-300, 1.0]], dtype=F64)
    q = torch.tensor([[0.5, 0.5], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.5, 0.5], [0.5, 0.5]], dtype=F64)
    expected = torch.tensor([math.log(2), INF, 0.0, INF, 0.0, math.log(2)], dtype=F64)
    close(student.kl_divergence(p, q), expected, rtol=1e-12, atol=1e-12)
    close(contract(student.kl_divergence, p.t(), q.t(), dim=0), expected, rtol=1e-12, atol=1e-12)


@check(
    "information", points=1, depends=("kl_divergence_values",), hint="Let autograd differentiate p log p and p log q."
)
def test_information_gradients(student, rng):
    """entropy and kl_divergence can be differentiated twice where the probabilities are positive."""
    p, q = random_probabilities(rng, 2, 3), random_probabilities(rng, 2, 3)
    differentiable(student.entropy, p)
    differentiable(student.kl_divergence, p, q)


# ------------------------------------------------------------------------------------------------- 7. batches


@probe
def run_epochs(student, n, batch_size, seed, count, options):
    """Run some epochs with one generator; return the indices of each, and whether the global state stayed."""
    from itertools import islice

    generator = None if seed is None else torch.Generator().manual_seed(seed)
    before = torch.get_rng_state()
    epochs = []
    for _ in range(count):
        batches = student.minibatches(n, batch_size, generator=generator, **options)
        epochs.append([[int(i) for i in batch] for batch in islice(batches, 200)])
    return epochs, bool(torch.equal(before, torch.get_rng_state()))


def flat(batches):
    """The indices of an epoch in the order of the visit."""
    return [index for batch in batches for index in batch]


@check("batches", points=1, depends=("minibatches_values",), hint="With drop_last there are ⌊n / batch_size⌋ batches.")
def test_minibatches_drop_last(student):
    """minibatches with drop_last leaves out a short last batch, and only a short one."""
    for n, batch_size, sizes in ((10, 4, [4, 4]), (8, 4, [4, 4]), (3, 4, []), (5, 1, [1] * 5)):
        for shuffle in (True, False):
            (batches,), _ = run_epochs(student, n, batch_size, 3, 1, {"drop_last": True, "shuffle": shuffle})
            close([len(batch) for batch in batches], sizes, what="the list of batch sizes")
            if len(set(flat(batches))) != sum(sizes) or not set(flat(batches)) <= set(range(n)):
                fail("The batches must hold different indices between 0 and n − 1.")


@check(
    "batches",
    points=2,
    depends=("minibatches_values",),
    hint="Draw a new permutation for each epoch from the generator that is handed in; never seed inside.",
)
def test_minibatches_shuffle(student):
    """minibatches draws a fresh order for each epoch, and the same orders again from an equal generator."""
    epochs, _ = run_epochs(student, 50, 8, 7, 4, {})
    orders = [flat(epoch) for epoch in epochs]
    if any(order == list(range(50)) for order in orders):
        fail("The indices were not shuffled.", kind="randomness")
    if any(orders[i] == orders[j] for i in range(4) for j in range(i)):
        fail("Two epochs have the same order: the generator must run on.", kind="randomness")
    if any({*epochs[0][0]} == {*batch} for epoch in epochs[1:] for batch in epoch):
        fail("The same batch comes back: shuffle the samples, not the batches.", kind="randomness")
    blocks = [set(range(start, start + 8)) for start in range(0, 48, 8)]
    if any({*batch} in blocks for batch in epochs[0]):
        fail("A batch holds neighbours only: shuffle the samples, not the batches.", kind="randomness")
    again, _ = run_epochs(student, 50, 8, 7, 4, {})
    if again != epochs:
        fail("The same seed gave another order.", kind="randomness")
    other, _ = run_epochs(student, 50, 8, 8, 1, {})
    if other[0] == epochs[0]:
        fail("Another seed gave the same order: use the generator that is handed in.", kind="randomness")
    ((first,), _), ((second,), _) = (run_epochs(student, 50, 8, None, 1, {}) for _ in range(2))
    if sorted(flat(first)) != list(range(50)) or first == second:
        fail("Without a generator, each call must give another order of all indices.", kind="randomness")


@check("batches", points=1, depends=("minibatches_values",), hint="torch.manual_seed changes everybody's randomness.")
def test_minibatches_global_state(student):
    """minibatches leaves the global random state alone when it has a generator or does not shuffle."""
    for seed, options in ((5, {}), (5, {"drop_last": True}), (None, {"shuffle": False})):
        _, untouched = run_epochs(student, 9, 4, seed, 2, options)
        if not untouched:
            fail("The global random state changed.", kind="randomness")


@check("batches", points=1, depends=("minibatches_values",), hint="shuffle=False: torch.arange(n), in slices.")
def test_minibatches_order(student):
    """minibatches without shuffling visits 0, 1, 2, … in order, in each epoch."""
    epochs, _ = run_epochs(student, 7, 3, 5, 2, {"shuffle": False})
    if epochs != [[[0, 1, 2], [3, 4, 5], [6]]] * 2:
        fail("Without shuffling, the indices must come in order.")


# --------------------------------------------------------------------------------------------------- 8. model


def seeded(seed):
    """A generator."""
    return torch.Generator().manual_seed(seed)


def parameters(model):
    """Snapshots of W and b."""
    return model.W.detach().clone(), model.b.detach().clone()


def digits():
    """The digits as the course splits them: permutation with seed 0, the first 1 400 for training.

    Read from scikit-learn's own file, because ``import sklearn`` would cost each run more than two seconds.
    """
    package = Path(importlib.util.find_spec("sklearn").origin).parent
    table = torch.from_numpy(np.loadtxt(package / "datasets" / "data" / "digits.csv.gz", delimiter=","))
    table = table[torch.randperm(1797, generator=seeded(0))]
    X, y = (table[:, :-1] / 16).float(), table[:, -1].long()
    return X[:1400], y[:1400], X[1400:], y[1400:]


TRAIN_X, TRAIN_Y, TEST_X, TEST_Y = digits()


@check("model", points=1, hint="Large initial weights make the model sure of itself before it has seen any data.")
def test_model_initial_loss(student):
    """A new model knows nothing: its loss on the digits is log 10, give or take 0.15, and its weights are random."""
    model = student.SoftmaxRegression(64, 10, generator=seeded(1))
    loss = torch.nn.functional.cross_entropy(model.logits(TRAIN_X).detach(), TRAIN_Y)
    close(loss.item(), math.log(10), rtol=0, atol=0.15, what="the initial loss")
    W, other = model.W.detach(), student.SoftmaxRegression(64, 10, generator=seeded(2)).W.detach()
    if torch.equal(W, other):
        fail("Another generator gave the same W.", kind="randomness")
    # 640 draws: the standard deviation is known to 1/√1280 of itself, and 6σ of that is 17 %.
    close(W.std().item(), 0.01, rtol=0.17, atol=0, what="the standard deviation of W")


@check("model", points=2, hint="W ← W − lr · dW and b ← b − lr · db, with the gradients of the batch's mean loss.")
def test_model_step(student, rng):
    """One epoch with a single batch is one exact gradient step, and its loss is the one before the step."""
    X, y = randn(rng, 6, 4), torch.tensor([0, 2, 1, 1, 0, 2])
    model = student.SoftmaxRegression(4, 3, generator=seeded(3), dtype=F64)
    strided = (X.t().contiguous().t(), y.repeat_interleave(2)[::2])
    for lr, (features, labels) in ((0.3, (X, y)), (0.05, strided)):
        W, b = parameters(model)
        loss, dW, db = exact_grads(X, y, W, b)
        history = model.fit(features, labels, epochs=1, lr=lr, batch_size=6, generator=seeded(4))
        close(
            model.W.detach(),
            W - lr * dW,
            what="W after one step",
            misconceptions={
                "the gradient was added; subtract it": W + lr * dW,
                "the gradient of the sum over the batch was used, not that of the mean": W - lr * 6 * dW,
                "W did not change at all; the new value belongs into self.W": W,
            },
        )
        close(model.b.detach(), b - lr * db, what="b after one step")
        close(history, [loss.item()], what="the history", rtol=1e-5, atol=1e-6)
    close(model.logits(X).detach(), X @ model.W.detach() + model.b.detach(), what="the logits after training")


@check("model", points=1, hint="The last batch of an epoch may be short, but it is trained on as well.")
def test_model_short_batch(student):
    """An epoch over 10 samples with batches of 4 takes three steps, and one over 65 with batches of 64 takes two."""
    X = torch.tensor([[1.0, -2.0]], dtype=F64).expand(10, 2).clone()
    y = torch.ones(10, dtype=torch.int64)
    model = student.SoftmaxRegression(2, 3, generator=seeded(3), dtype=F64)
    W, b = parameters(model)
    losses = []
    for _ in range(6):
        loss, dW, db = exact_grads(X, y, W, b)
        W, b = W - 0.1 * dW, b - 0.1 * db
        losses.append(loss.item())
    history = model.fit(X, y, epochs=2, lr=0.1, batch_size=4, generator=seeded(4))
    close(model.W.detach(), W, what="W after two epochs")
    close(model.b.detach(), b, what="b after two epochs")
    epochs = (losses[:3], losses[3:])
    close(
        history,
        [(4 * first + 4 * second + 2 * third) / 10 for first, second, third in epochs],
        what="the history",
        rtol=1e-5,
        atol=1e-6,
        misconceptions={
            "the batch losses were summed; weigh each by its size and divide by n": [sum(epoch) for epoch in epochs],
            "the batch means were summed and divided by n; weigh each by its size first": [
                sum(epoch) / 10 for epoch in epochs
            ],
            "the plain mean of the batch losses was taken; weigh each by its size": [
                sum(epoch) / 3 for epoch in epochs
            ],
            "the loss of the last batch was taken for that of the epoch": [epoch[-1] for epoch in epochs],
        },
    )
    for _ in range(2):
        _, dW, db = exact_grads(X, y, W, b)
        W, b = W - 0.1 * dW, b - 0.1 * db
    model.fit(X[:1].expand(65, 2).clone(), y[:1].expand(65).clone(), epochs=1, lr=0.1, generator=seeded(4))
    close(model.W.detach(), W, what="W after an epoch with batches of the default size")


@check("model", points=2, hint="Σ (batch loss · batch size) / n: weigh each batch by its size.")
def test_model_history(student, rng):
    """The history holds the mean loss of all samples in each epoch, whatever the sizes of the batches."""
    X, y = 3 * randn(rng, 10, 3), torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, 2, 0])
    model = student.SoftmaxRegression(3, 3, generator=seeded(3), dtype=F64)
    model.fit(X, y, epochs=3, lr=0.5, batch_size=10, generator=seeded(4))
    mean = exact_grads(X, y, *parameters(model))[0].item()
    for batch_size in (4, 3, 10, 100):
        history = model.fit(X, y, epochs=2, lr=0.0, batch_size=batch_size, generator=seeded(4))
        close(history, [mean, mean], rtol=1e-5, atol=1e-6, what="the history")


@check("model", points=2, hint="dW + weight_decay · W for the weights; the gradient of the bias stays as it is.")
def test_model_weight_decay(student, rng):
    """Weight decay shrinks W by the factor 1 − lr · λ a step and leaves the bias free to learn the class frequencies."""
    model = student.SoftmaxRegression(3, 2, generator=seeded(3), dtype=F64)
    model.fit(randn(rng, 8, 3), torch.tensor([0, 1] * 4), epochs=5, lr=0.5, batch_size=8, generator=seeded(4))
    W, _ = parameters(model)
    X, y = torch.zeros(8, 3, dtype=F64), torch.tensor([0, 0, 1, 0, 0, 1, 0, 0])
    model.fit(X, y, epochs=40, lr=1.0, batch_size=8, weight_decay=0.02, generator=seeded(5))
    close(
        model.W.detach(),
        W * 0.98**40,
        what="W",
        misconceptions={
            "the penalty was λ‖W‖² instead of λ/2 ‖W‖²": W * 0.96**40,
            "the penalty had the wrong sign": W * 1.02**40,
            "W was not decayed": W,
        },
    )
    probabilities = torch.tensor([[0.75, 0.25]], dtype=F64)
    close(model.predict_proba(X[:1]).detach(), probabilities, rtol=1e-6, atol=1e-6, what="the class frequencies")


@check(
    "model", points=1, hint="Does the loss fall steadily? Are the samples shuffled, all of them used, in each epoch?"
)
def test_model_digits(student):
    """The model reads handwritten digits it has never seen: at least 92 % of them after five epochs."""
    model = student.SoftmaxRegression(64, 10, generator=seeded(1))
    model.fit(TRAIN_X, TRAIN_Y, epochs=5, lr=1.0, batch_size=64, generator=seeded(2))
    right = (model.predict(TEST_X) == TEST_Y).double().mean().item()
    if not right >= 0.92:
        fail("Too many test digits are read wrongly.")


@check(
    "model",
    points=1,
    hint="All randomness comes from the two generators; copy before you write in place; leave PyTorch's settings alone.",
)
def test_model_repeatable(student, rng):
    """Training is the same to the last bit for equal generators, and leaves data and global state alone."""
    X, y = randn(rng, 30, 4).float(), torch.randint(0, 3, (30,), generator=rng)

    outcomes = []
    for global_seed in (1, 2):
        outcome = train(student, X, y, global_seed)
        if not torch.equal(outcome["X"], X) or not torch.equal(outcome["y"], y):
            fail("The training data were changed.", kind="mutation")
        if not outcome["global state kept"]:
            fail("The global random state changed, although generators were given.", kind="randomness")
        if not outcome["grad mode"]:
            fail("Gradients were switched off and stayed off.", kind="side-effect")
        outcomes.append(outcome)
    first, second = outcomes
    if not (torch.equal(first["W"], second["W"]) and torch.equal(first["b"], second["b"])):
        fail("Equal generators gave different parameters.", kind="randomness")
    if first["history"] != second["history"]:
        fail("Equal generators gave a different history.", kind="randomness")
    other = train(student, X, y, 1, shuffle_seed=9)
    if torch.equal(other["W"], first["W"]):
        fail("Another generator for fit gave the very same parameters: is the data shuffled?", kind="randomness")


@probe
def train(student, X, y, global_seed, shuffle_seed=6):
    """Train once under a global seed; return what came of it."""
    torch.manual_seed(global_seed)
    before = torch.get_rng_state()
    model = student.SoftmaxRegression(4, 3, generator=torch.Generator().manual_seed(5))
    history = model.fit(
        X, y, epochs=3, lr=0.3, batch_size=8, weight_decay=0.01, generator=torch.Generator().manual_seed(shuffle_seed)
    )
    return {
        "W": model.W.detach().clone(),
        "b": model.b.detach().clone(),
        "history": history,
        "X": X,
        "y": y,
        "global state kept": bool(torch.equal(before, torch.get_rng_state())),
        "grad mode": torch.is_grad_enabled(),
    }


# ----------------------------------------------------------------------------------------------- 9. the bug


def reduced(loss, reduction):
    return {"mean": loss.mean(), "sum": loss.sum(), "none": loss}[reduction]


def library(logits, target, reduction="mean", label_smoothing=0.0):
    return torch.nn.functional.cross_entropy(logits, target, reduction=reduction, label_smoothing=label_smoothing)


def by_products(logits, target, reduction="mean", label_smoothing=0.0):
    q = logits.shape[1]
    shares = torch.eye(q, dtype=logits.dtype)[target] * (1 - label_smoothing) + label_smoothing / q
    return reduced(-torch.einsum("nq,nq->n", shares, torch.log_softmax(logits, 1)), reduction)


def by_rows(logits, target, reduction="mean", label_smoothing=0.0):
    losses = []
    for row, label in zip(logits, target.tolist(), strict=True):
        total = torch.logsumexp(row, 0)
        losses.append(total - (1 - label_smoothing) * row[label] - label_smoothing * row.mean())
    return reduced(torch.stack(losses), reduction)


def by_differences(logits, target, reduction="mean", label_smoothing=0.0):
    log_p = -torch.logsumexp(logits.unsqueeze(1) - logits.unsqueeze(2), dim=2)
    chosen = log_p.gather(1, target[:, None])[:, 0]
    return reduced(-(1 - label_smoothing) * chosen - label_smoothing * log_p.sum(1) / logits.shape[1], reduction)


RIGHT = (library, by_products, by_rows, by_differences)


def with_log_p(log_p_of, loss_of=None):
    """An implementation with other log-probabilities, or another way from these to the losses."""

    def implementation(logits, target, reduction="mean", label_smoothing=0.0):
        log_p = log_p_of(logits)
        if loss_of is not None:
            return reduced(loss_of(log_p, target, label_smoothing), reduction)
        chosen = log_p.gather(1, target[:, None])[:, 0]
        return reduced(-(1 - label_smoothing) * chosen - label_smoothing * log_p.mean(1), reduction)

    return implementation


def with_losses(loss_of):
    return with_log_p(lambda logits: torch.log_softmax(logits, 1), loss_of)


def with_reductions(**other):
    """An implementation that gets some reductions wrong."""

    def implementation(logits, target, reduction="mean", label_smoothing=0.0):
        losses = library(logits, target, "none", label_smoothing)
        return other[reduction](losses, logits) if reduction in other else reduced(losses, reduction)

    return implementation


def chosen(log_p, target):
    return -log_p.gather(1, target[:, None])[:, 0]


def after(change):
    """The library's result, changed."""
    return lambda logits, target, reduction="mean", label_smoothing=0.0: change(
        library(logits, target, reduction, label_smoothing), logits
    )


def detached_normaliser(logits):
    """Right values, and a gradient that lacks the probabilities."""
    return logits - torch.logsumexp(logits, 1, keepdim=True).detach()


WRONG_VALUES = (
    with_losses(lambda log_p, y, _: chosen(log_p, y)),
    with_losses(lambda log_p, y, s: (1 - s) * chosen(log_p, y)),
    with_losses(lambda log_p, y, s: chosen(log_p, y) - s * log_p.mean(1)),
    with_losses(lambda log_p, y, s: (1 - s) * chosen(log_p, y) - s * log_p.sum(1)),
    with_losses(
        lambda log_p, y, s: (1 - s) * chosen(log_p, y) - s * (log_p.sum(1) + chosen(log_p, y)) / log_p.shape[1]
    ),
    with_reductions(sum=lambda losses, _: losses.mean()),
    with_reductions(none=lambda losses, _: losses.sum()),
    with_reductions(none=lambda losses, _: losses[:, None]),
    with_reductions(mean=lambda losses, _: losses.sum()),
    with_reductions(mean=lambda losses, logits: losses.sum() / logits.shape[1]),
    with_reductions(mean=lambda losses, logits: losses.sum() / logits.numel()),
    with_losses(lambda log_p, y, s: (1 - s) * chosen(log_p, (y + 1) % log_p.shape[1]) - s * log_p.mean(1)),
    with_losses(lambda log_p, y, s: (1 - s) * chosen(log_p, log_p.argmax(1)) - s * log_p.mean(1)),
    with_losses(lambda log_p, y, s: (1 - s) * chosen(log_p, y[:1].expand_as(y)) - s * log_p.mean(1)),
)
WRONG_NUMBERS = (
    with_log_p(lambda x: (x.exp() / x.exp().sum(1, keepdim=True)).log()),
    with_log_p(lambda x: x - x.exp().sum(1, keepdim=True).log()),
    with_log_p(lambda x: (x - x.max()) - (x - x.max()).exp().sum(1, keepdim=True).log()),
    with_log_p(lambda x: torch.softmax(x, 1).log().clamp(min=-1e30)),
    with_log_p(lambda x: torch.softmax(x, 1).clamp(min=1e-12).log()),
    with_log_p(lambda x: (torch.softmax(x, 1) + 1e-8).log()),
    with_log_p(lambda x: torch.log_softmax(x.clamp(-100, 100), 1)),
    with_log_p(lambda x: torch.log_softmax(x.float(), 1).double()),
    after(lambda loss, _: loss.float()),
    after(lambda loss, _: loss.detach()),
    after(lambda loss, _: 2 * loss - loss.detach()),
    after(lambda loss, _: 0 * loss + loss.detach()),
    with_log_p(detached_normaliser),
)


def finds(student, implementation):
    """Whether the student's check says that an implementation is wrong; it must have called it."""
    handed = spy(implementation, max_calls=200)
    try:
        student.check_cross_entropy(handed)
    except AssertionError:
        found = True
    else:
        found = False
    if not handed.calls:
        fail("check_cross_entropy never called the function that it was handed.")
    return found


@check(
    "bug", points=1, hint="Compare with torch.allclose, and ask for nothing that the specification does not promise."
)
def test_bug_right(student):
    """check_cross_entropy accepts right implementations in different styles."""
    if any(finds(student, implementation) for implementation in RIGHT):
        fail("A right implementation was called wrong.")


@check("bug", points=1, depends=("bug_right",), hint="Go through the list: smoothing, reductions, labels.")
def test_bug_values(student):
    """check_cross_entropy finds wrong smoothing, wrong reductions and wrong labels."""
    missed = sum(not finds(student, implementation) for implementation in WRONG_VALUES)
    if missed:
        fail(f"{missed} of {len(WRONG_VALUES)} wrong implementations of this kind were not found.")


@check("bug", points=1, depends=("bug_right",), hint="Go through the list: large and small losses, dtype, gradient.")
def test_bug_numbers(student):
    """check_cross_entropy finds overflow, cut-off and blurred losses, a lost dtype and wrong gradients."""
    missed = sum(not finds(student, implementation) for implementation in WRONG_NUMBERS)
    if missed:
        fail(f"{missed} of {len(WRONG_NUMBERS)} wrong implementations of this kind were not found.")
