"""Public checks of softmax regression: the ones that students run themselves.

They count when a notebook is marked; the gate of each exercise is here. Worth 30 of the 100 points.
"""

import math

import torch

from grader.checks import check, close, contract, fail, forbid, probe, spy

# Policy for all exercises, told to students at the top of the notebook. The operators catch every alias on the way.
RELATIVES = ("softmax", "log_softmax", "logsumexp", "logcumsumexp", "logaddexp", "logaddexp2")
FUNCTIONAL = ("softmax", "log_softmax", "softmin", "gumbel_softmax", "cross_entropy", "nll_loss", "one_hot", "kl_div")
MODULES = ("Softmax*", "LogSoftmax", "Softmin", "CrossEntropyLoss", "NLLLoss*", "KLDivLoss", "AdaptiveLogSoftmax*")
FORBIDDEN = [
    forbid(
        "*",
        names=(
            *(f"torch.{name}" for name in RELATIVES),
            *(f"torch.Tensor.{name}" for name in RELATIVES),
            *(f"torch.special.{name}" for name in RELATIVES[:3]),
            *(f"torch.nn.functional.{name}" for name in FUNCTIONAL),
            *(f"torch.nn.{name}" for name in MODULES),
            "torch.distributions.*",
        ),
        ops=(
            *(f"aten::{name}" for name in RELATIVES[2:]),
            "aten::_softmax",
            "aten::_log_softmax",
            "aten::_logcumsumexp",
            "aten::nll_loss_forward",
            "aten::nll_loss2d_forward",
        ),
        instead="exp, log, sum, amax, gather and indexing",
    )
]

BOTH_DTYPES = (torch.float64, torch.float32)


def gradients_of(output, *inputs):
    """The gradients of the sum of ``output``; a sentence for the student where autograd cannot give them."""
    if not output.requires_grad:
        fail("The result is cut off from autograd: no gradient flows back to the input.", kind="gradient")
    return torch.autograd.grad(output.sum(), inputs)


# ----------------------------------------------------------------------------------------------- 1. logsumexp


@check(
    "logsumexp",
    points=2,
    gate=True,
    hint="exp, then sum along dim, then log, all with operations that autograd knows, and nothing written into x.",
)
def test_logsumexp_values(student, rng):
    """logsumexp gives log Σ exp(x) along dim, for ordinary numbers."""
    for dtype in BOTH_DTYPES:
        x = torch.randn(4, 3, generator=rng, dtype=torch.float64).to(dtype).requires_grad_()
        for dim in (1, 0):
            expected = x.detach().exp().sum(dim).log()
            result = contract(student.logsumexp, x, dim=dim)
            close(
                result,
                expected,
                misconceptions={
                    "the sum was taken over the whole tensor, not along dim": x.detach().exp().sum().log(),
                    "the logarithm was taken to base 2; the course uses the natural one": expected / math.log(2),
                    "the mean was taken where the sum is due": expected - math.log(x.shape[dim]),
                    "the logarithm of the sum is still missing": expected.exp(),
                },
            )
            (gradient,) = gradients_of(result, x)
            close(gradient, torch.softmax(x.detach(), dim), what="the gradient")


@check(
    "logsumexp",
    points=1,
    hint="exp(1000) is infinite. Subtract the maximum before exp, and add it back after log.",
)
def test_logsumexp_large(student):
    """logsumexp of (1000, 1000) is 1000 + log 2, and of (−1000, −1000) it is −1000 + log 2."""
    x = torch.tensor([[1000.0, 1000.0], [-1000.0, -1000.0]], dtype=torch.float64)
    close(student.logsumexp(x, dim=1), torch.tensor([1000.0, -1000.0], dtype=torch.float64) + math.log(2))


# ------------------------------------------------------------------------------------------------- 2. softmax


@check(
    "softmax",
    points=2,
    gate=True,
    hint="exp of the logits, divided by their sum along dim (keepdim=True makes the shapes fit).",
)
def test_softmax_values(student, rng):
    """softmax gives exp(x) / Σ exp(x) along dim."""
    for dtype in BOTH_DTYPES:
        x = torch.randn(3, 4, generator=rng, dtype=torch.float64).to(dtype).requires_grad_()
        for dim in (-1, 0):
            raw = x.detach().exp()
            expected = raw / raw.sum(dim, keepdim=True)
            result = contract(student.softmax, x, dim=dim)
            close(
                result,
                expected,
                misconceptions={
                    "the softmax was taken over the whole tensor, not along dim": raw / raw.sum(),
                    "the softmax was taken along another dimension than dim": raw / raw.sum(-1 - dim, keepdim=True),
                    "the division by the sum is still missing": raw,
                    "the logarithm of the softmax was returned": expected.log(),
                },
            )
            upstream = torch.arange(12, dtype=dtype).view(3, 4)
            (gradient,) = gradients_of(result * upstream, x)
            inner = (expected * upstream).sum(dim, keepdim=True)
            close(gradient, expected * (upstream - inner), what="the gradient")


@check("softmax", points=1, hint="Subtract the row's maximum before exp: softmax depends on differences only.")
def test_softmax_shift(student):
    """softmax gives rows that sum to one and do not change when 100, or 1000, is added to all logits."""
    x = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 5.0]], dtype=torch.float64)
    expected = x.exp() / x.exp().sum(1, keepdim=True)
    for shift in (100.0, -100.0, 1000.0):
        result = student.softmax(x + shift)
        close(result, expected)
        close(result.sum(1), torch.ones(2, dtype=torch.float64), what="the sum of a row")


@check("softmax", points=2, hint="x − logsumexp(x), with keepdim=True so that each row subtracts its own.")
def test_log_softmax_values(student, rng):
    """log_softmax gives log(softmax(x)) along dim."""
    for dtype in BOTH_DTYPES:
        x = torch.randn(3, 4, generator=rng, dtype=torch.float64).to(dtype).requires_grad_()
        for dim in (-1, 0):
            raw = x.detach().exp()
            expected = (raw / raw.sum(dim, keepdim=True)).log()
            result = contract(student.log_softmax, x, dim=dim)
            close(
                result,
                expected,
                misconceptions={
                    "the log-softmax was taken over the whole tensor, not along dim": (raw / raw.sum()).log(),
                    "the log-softmax was taken along another dimension than dim": (
                        raw / raw.sum(-1 - dim, keepdim=True)
                    ).log(),
                    "the logarithm was taken to base 2; the course uses the natural one": expected / math.log(2),
                    "the softmax was returned, not its logarithm": expected.exp(),
                },
            )
            (gradient,) = gradients_of(result.narrow(dim, 0, 1), x)
            first = torch.zeros_like(expected)
            first.narrow(dim, 0, 1).fill_(1)
            close(gradient, first - expected.exp(), what="the gradient")


# ------------------------------------------------------------------------------------------------- 3. one_hot


@check("one_hot", points=2, gate=True, hint="Compare y with 0, 1, …, q−1, or scatter ones into zeros.")
def test_one_hot_values(student):
    """one_hot gives a row with a single one at the label, in float32 or the dtype that is asked for."""
    y = torch.tensor([2, 0, 1, 2])
    expected = torch.eye(4)[y]
    shifted = {
        "labels were taken to start at 1; they start at 0": torch.eye(5)[y][:, 1:],
        "the one stands before its place: −1 took the last class for the first": expected.roll(-1, dims=1),
    }
    close(contract(student.one_hot, y, 4), expected, misconceptions=shifted)
    close(contract(student.one_hot, y, 4, dtype=torch.float64), expected.double(), misconceptions=shifted)


# ------------------------------------------------------------------------------------------- 4. cross_entropy


@check(
    "cross_entropy",
    points=3,
    gate=True,
    hint="The mean over the samples of logsumexp(row) − row[label]; its gradient is (softmax − one-hot) / n.",
)
def test_cross_entropy_values(student):
    """cross_entropy gives the mean of −log softmax(logits) at the labels, and its gradient."""
    target = torch.tensor([2, 0])
    probabilities = torch.tensor([[0.2, 0.3, 0.5], [0.6, 0.1, 0.3]], dtype=torch.float64)
    at_label = torch.tensor([0.5, 0.6], dtype=torch.float64)
    truth = torch.eye(3, dtype=torch.float64)[target]
    shift = torch.tensor([[1.0], [-2.0]], dtype=torch.float64)
    expected = -at_label.log().mean()
    again = torch.softmax(probabilities, 1)[torch.arange(2), target]
    for dtype in BOTH_DTYPES:
        logits = (probabilities.log() + shift).to(dtype).requires_grad_()
        result = contract(student.cross_entropy, logits, target)
        close(
            result,
            expected.to(dtype),
            misconceptions={
                "the losses were summed; the default is their mean": (2 * expected).to(dtype),
                "the loss was divided by the number of classes as well; divide by n only": (expected / 3).to(dtype),
                "the logarithm was taken to base 2; the course uses the natural one": (expected / math.log(2)).to(
                    dtype
                ),
                "the minus is missing; a loss is never negative": (-expected).to(dtype),
                "the softmax was applied twice; predictions come in as logits": (-again.log().mean()).to(dtype),
            },
        )
        (gradient,) = gradients_of(result, logits)
        close(gradient, ((probabilities - truth) / 2).to(dtype), what="the gradient")


@check("cross_entropy", points=1, hint="With equal logits each class has probability 1/C, and −log(1/C) = log C.")
def test_cross_entropy_uniform(student):
    """cross_entropy of equal logits is log C for C classes: where an untrained classifier starts."""
    for classes in (2, 10, 1000):
        logits = torch.full((5, classes), 3.0, dtype=torch.float64)
        target = torch.arange(5) % classes
        close(student.cross_entropy(logits, target), torch.tensor(math.log(classes), dtype=torch.float64))


# --------------------------------------------------------------------------------------------------- 5. grads


@check(
    "grads",
    points=3,
    gate=True,
    hint="With G = (softmax(XW + b) − one_hot(y)) / n: dW = Xᵀ G, and db is G summed over the samples.",
)
def test_grads_values(student, rng):
    """softmax_regression_grads returns the loss and its gradients with respect to W and b."""
    y = torch.tensor([2, 0, 1, 1, 2])
    for dtype in BOTH_DTYPES:
        X, W, b = (
            torch.randn(*shape, generator=rng, dtype=torch.float64).to(dtype) for shape in ((5, 4), (4, 3), (3,))
        )
        logits = X @ W + b
        loss = torch.nn.functional.cross_entropy(logits, y)
        G = (torch.softmax(logits, 1) - torch.eye(3, dtype=dtype)[y]) / 5
        result = contract(student.softmax_regression_grads, X, y, W, b)
        if not isinstance(result, (tuple, list)) or len(result) != 3:
            fail("Three tensors are due: (loss, dW, db).", kind="shape")
        got_loss, got_dW, got_db = result
        close(got_loss, loss, what="the loss")
        close(
            got_dW,
            X.T @ G,
            what="the gradient dW",
            misconceptions={
                "the gradient of the sum over the samples was returned; the loss is their mean": 5 * X.T @ G,
                "truth minus prediction was used; it is prediction minus truth": -X.T @ G,
                "dW was transposed": G.T @ X,
            },
        )
        close(
            got_db,
            G.sum(0),
            what="the gradient db",
            misconceptions={
                "the gradient of the sum over the samples was returned; the loss is their mean": 5 * G.sum(0),
                "db was divided by n twice": G.mean(0),
            },
        )


@check("grads", points=1, hint="A step against the gradient must lower the loss: look at the sign, and at the shapes.")
def test_grads_downhill(student):
    """A small step against the gradient lowers the loss by the step times the squared length of the gradient."""
    X = torch.tensor([[1.0, 2.0], [0.0, -1.0], [3.0, 0.5]], dtype=torch.float64)
    y = torch.tensor([0, 2, 1])
    W = torch.zeros(2, 3, dtype=torch.float64)
    b = torch.zeros(3, dtype=torch.float64)
    loss, dW, db = student.softmax_regression_grads(X, y, W, b)
    step = 1e-5
    lower, _, _ = student.softmax_regression_grads(X, y, W - step * dW, b - step * db)
    close((loss - lower) / step, (dW**2).sum() + (db**2).sum(), rtol=1e-3, atol=1e-6, what="the decrease")


# --------------------------------------------------------------------------------------------- 6. information


@check("information", points=2, gate=True, hint="−Σ p log p along dim, with the natural logarithm.")
def test_entropy_values(student, rng):
    """entropy gives −Σ p log p along dim, in nats."""
    for dtype in BOTH_DTYPES:
        for dim in (-1, 0):
            p = torch.softmax(torch.randn(3, 4, generator=rng, dtype=torch.float64), dim).to(dtype).requires_grad_()
            value = p.detach()
            expected = -(value * value.log()).sum(dim)
            result = contract(student.entropy, p, dim=dim)
            close(
                result,
                expected,
                misconceptions={
                    "the logarithm was taken to base 2; the course uses the natural one": expected / math.log(2),
                    "the minus is missing; entropy is never negative": -expected,
                    "the mean was taken where the sum is due": expected / p.shape[dim],
                    "the sum was taken over the whole tensor, not along dim": expected.sum(),
                },
            )
            (gradient,) = gradients_of(result, p)
            close(gradient, -value.log() - 1, what="the gradient")


@check("information", points=2, hint="Σ p log(p/q) along dim: the first argument weighs the terms.")
def test_kl_divergence_values(student, rng):
    """kl_divergence gives Σ p log(p/q) along dim, in nats, and 0 for equal distributions."""
    for dtype in BOTH_DTYPES:
        for dim in (-1, 0):
            p, q = (
                torch.softmax(torch.randn(3, 4, generator=rng, dtype=torch.float64), dim).to(dtype).requires_grad_()
                for _ in range(2)
            )
            a, b = p.detach(), q.detach()
            expected = (a * (a / b).log()).sum(dim)
            result = contract(student.kl_divergence, p, q, dim=dim)
            close(
                result,
                expected,
                rtol=1e-4 if dtype == torch.float32 else 1e-9,
                atol=1e-5 if dtype == torch.float32 else 1e-9,
                misconceptions={
                    "the arguments were swapped; the first weighs the terms": (b * (b / a).log()).sum(dim),
                    "the logarithm was taken to base 2; the course uses the natural one": expected / math.log(2),
                    "the cross-entropy was returned; the entropy of p is still to be subtracted": -(a * b.log()).sum(
                        dim
                    ),
                    "the mean was taken where the sum is due": expected / p.shape[dim],
                },
            )
            gradient_p, gradient_q = gradients_of(result, p, q)
            close(gradient_p, (a / b).log() + 1, what="the gradient of p")
            close(gradient_q, -a / b, what="the gradient of q")
    close(student.kl_divergence(p, p), torch.zeros(3), atol=1e-6, rtol=0)


# ------------------------------------------------------------------------------------------------- 7. batches


@check("batches", points=1, gate=True, hint="argmax along the classes, compared with y; .item() makes a Python float.")
def test_accuracy_values(student):
    """accuracy gives the share of rows whose largest logit is at the label, as a float."""
    logits = torch.tensor([[3.0, 1.0, 2.0], [0.0, -1.0, -2.0], [-5.0, -4.0, -6.0], [0.0, 0.0, 1.0], [9.0, 8.0, 7.0]])
    for y, expected in (([0, 0, 2, 2, 0], 0.8), ([1, 1, 1, 1, 1], 0.2), ([0, 0, 1, 2, 0], 1.0)):
        close(
            contract(student.accuracy, logits, torch.tensor(y)),
            expected,
            rtol=0,
            atol=1e-6,
            misconceptions={
                "right rows were counted; their share is due": expected * 5,
                "the share of wrong rows was returned": 1 - expected,
                "the share was given in percent; it is a number between 0 and 1": expected * 100,
            },
        )


@probe
def visit(student, n, batch_size, seed, options):
    """Run one epoch with a generator of its own; return its batches, and the global state before and after."""
    from itertools import islice

    before = torch.get_rng_state()
    batches = student.minibatches(n, batch_size, generator=torch.Generator().manual_seed(seed), **options)
    visited = list(islice(batches, 100)) if hasattr(batches, "__iter__") else None
    return visited, before, torch.get_rng_state(), torch.is_grad_enabled()


@check(
    "batches",
    points=2,
    hint="torch.randperm(n, generator=generator), cut into slices of batch_size; the last may be short.",
)
def test_minibatches_values(student):
    """minibatches yields each index once, in batches of batch_size and a last one with what is left."""
    for n, batch_size, sizes in ((10, 4, [4, 4, 2]), (6, 3, [3, 3]), (3, 5, [3])):
        batches, before, after, grad_mode = visit(student, n, batch_size, 1, {})
        if not isinstance(batches, list):
            fail("A generator or a list of index tensors is due.", kind="type")
        if not all(isinstance(batch, torch.Tensor) and batch.dtype == torch.int64 for batch in batches):
            fail("Each batch must be an int64 tensor of indices.", kind="dtype")
        if any(batch.ndim != 1 for batch in batches):
            fail("Each batch must be a 1-D tensor of indices.", kind="shape")
        close([len(batch) for batch in batches], sizes, what="the list of batch sizes")
        close(torch.cat(batches).sort().values, torch.arange(n), what="the sorted list of the indices of an epoch")
        if not torch.equal(before, after):
            fail("The global random state changed, although a generator was given.", kind="randomness")
        if not grad_mode:
            fail("Gradients were switched off and stayed off.", kind="side-effect")


# --------------------------------------------------------------------------------------------------- 8. model


@check(
    "model",
    points=2,
    gate=True,
    hint="logits are X @ W + b; probabilities their softmax; the prediction is the argmax along the classes.",
)
def test_model_forward(student, rng):
    """A new SoftmaxRegression has W (d, q) and b (q) = 0, and its logits, probabilities and predictions fit them."""
    for dtype in BOTH_DTYPES:
        model = student.SoftmaxRegression(4, 3, generator=torch.Generator().manual_seed(5), dtype=dtype)
        X = torch.randn(6, 4, generator=rng, dtype=torch.float64).to(dtype)
        close(model.b, torch.zeros(3, dtype=dtype), what="b")
        W = model.W
        close(W, torch.zeros(4, 3, dtype=dtype), rtol=0, atol=0.06, what="the initial W")
        expected = X @ W
        close(contract(model.logits, X), expected, what="the logits")
        close(contract(model.predict_proba, X), torch.softmax(expected, 1), what="the result of predict_proba")
        close(contract(model.predict, X), expected.argmax(1), what="the result of predict")


@check(
    "model",
    points=2,
    hint="Print the history. Rising: the sign of the step. Constant: are W and b of the model really updated?",
)
def test_model_learns(student):
    """fit returns one float an epoch, and learns three well-separated groups of points."""
    generator = torch.Generator().manual_seed(11)
    y = torch.arange(60) % 3
    centres = torch.tensor([[3.0, 0.0], [-3.0, 3.0], [-3.0, -3.0]])
    X = centres[y] + 0.5 * torch.randn(60, 2, generator=generator)
    model = student.SoftmaxRegression(2, 3, generator=generator)
    history = model.fit(X, y, epochs=8, lr=0.2, batch_size=16, generator=generator)
    if not isinstance(history, list) or len(history) != 8 or not all(isinstance(loss, float) for loss in history):
        fail("fit must return a list with one float for each epoch.", kind="type")
    if not history[-1] < history[0]:
        fail("The loss does not fall: are the W and b of the model updated, and in the right direction?")
    if not history[-1] < 0.15:
        fail("The loss falls, but after eight epochs it is still far too high.")
    close(model.predict(X), y, what="the result of predict")


# ----------------------------------------------------------------------------------------------- 9. the bug


def library(logits, target, reduction="mean", label_smoothing=0.0):
    """A right implementation: the library's."""
    return torch.nn.functional.cross_entropy(logits, target, reduction=reduction, label_smoothing=label_smoothing)


def over_the_others(logits, target, reduction="mean", label_smoothing=0.0):
    """The bug that the notebook shows."""
    log_p = torch.log_softmax(logits, dim=1)
    y = torch.full_like(log_p, label_smoothing / (logits.shape[1] - 1))
    y[torch.arange(len(target)), target] = 1 - label_smoothing
    loss = -(y * log_p).sum(dim=1)
    return {"mean": loss.mean(), "sum": loss.sum(), "none": loss}[reduction]


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


@check("bug", points=1, gate=True, hint="Compare with your own cross_entropy, with and without smoothing, and assert.")
def test_bug_shown(student):
    """check_cross_entropy accepts a right implementation and raises AssertionError for the bug that is shown."""
    handed = spy(library, max_calls=600)
    close(contract(student.check_cross_entropy, handed), None, what="the result of check_cross_entropy")
    if not handed.calls:
        fail("check_cross_entropy never called the function that it was handed.")
    if not finds(student, over_the_others):
        fail("The bug that the notebook shows was not found.")
