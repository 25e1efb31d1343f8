# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Softmax regression
#
# A picture comes in, and out comes *how sure we are* of each of ten digits. Softmax regression is the smallest model
# that does this, and it is also the last layer of nearly every classifier that you will meet: of a convolutional
# network, of a transformer that picks its next word. What you write here you will use unchanged for the rest of the
# course.
#
# The model is one matrix product, one exponential and one sum:
#
# $$
# \underbrace{O}_{(n,\,q)} = \underbrace{X}_{(n,\,d)}\,\underbrace{W}_{(d,\,q)} + \underbrace{b}_{(q)},
# \qquad
# \hat p_{ik} = \frac{e^{o_{ik}}}{\sum_{j=1}^{q} e^{o_{ij}}},
# \qquad
# L = -\frac1n \sum_{i=1}^{n} \log \hat p_{i\,y_i}.
# $$
#
# $n$ is the number of samples, $d$ of features, $q$ of classes. The rows of $O$ are called *logits*. Three lines of
# mathematics, and in floating point the obvious code for each of them is wrong: it overflows, it returns `nan`, or it
# loses every digit of a small loss. The first half of this notebook makes them right. The second half finds the
# gradient by hand and trains the model.
#
# **What you will be able to do**: write code that works in the log domain; get cross-entropy straight from logits;
# derive and check the gradient $\hat P - Y$; compute entropy and KL divergence; write a training loop with seeded
# mini-batches whose reported loss is the loss.

# %% [markdown]
# ## How this notebook works
#
# | exercise | you write | difficulty | minutes | points |
# | --- | --- | --- | --- | --- |
# | 1 | `logsumexp` | ★★☆ | 20 | 12 |
# | 2 | `softmax`, `log_softmax` | ★★☆ | 15 | 12 |
# | 3 | `one_hot` | ★☆☆ | 10 | 6 |
# | 4 | `cross_entropy` | ★★★ | 35 | 21 |
# | 5 | `softmax_regression_grads` | ★★☆ | 25 | 15 |
# | 6 | `entropy`, `kl_divergence` | ★☆☆ | 15 | 8 |
# | 7 | `accuracy`, `minibatches` | ★☆☆ | 15 | 8 |
# | 8 | `SoftmaxRegression` | ★★★ | 40 | 14 |
# | 9 | `check_cross_entropy` | ★★☆ | 20 | 4 |
#
# Each exercise ends with a cell that runs the *public* checks on your code: ✔ it holds, ✘ it does not (with a hint),
# ○ not attempted yet. They are worth 30 of the 100 points. The other points come from checks that you don't see:
# other shapes, dimensions and dtypes, extreme logits, gradients, side effects, cost. Everything they ask for is
# written in the specification of the exercise. The first check of an exercise is its *gate*: while it fails, the
# other checks of the exercise do not count. Plots and public checks are not run when your notebook is marked.
#
# **Rules for every function**
#
# * It leaves its arguments alone (values, `requires_grad`, `.grad`), and PyTorch's global state as well: random number
#   generator, grad mode, default dtype. Its result shares no memory with its arguments.
# * It keeps the dtype of its floating-point input. It takes tensors that are not contiguous, such as `x.t()`.
# * It is made of differentiable PyTorch operations, so that autograd works through it.
# * You may call functions of earlier exercises, or not, as you like.
#
# **Not allowed, in any exercise**, because it would be the answer: PyTorch's `softmax`, `log_softmax` and their
# relatives (as functions, methods or modules), `logsumexp`, `logcumsumexp`, `logaddexp`, `F.cross_entropy`,
# `F.nll_loss`, `F.one_hot`, `F.kl_div` and the modules made from them, and `torch.distributions`. Use instead `exp`,
# `log`, `sum`, `amax`, `where`, `gather`, `scatter`, indexing, `xlogy`, and whatever else you like. Comparing your
# result with the forbidden function *in a cell of your own* is a fine idea; delete that cell before you hand in.
#
# **Conventions of the course.** Logarithms are natural (information is in *nats*). Labels are `int64` and start at 0.
# Dropout's $p$ is the probability of *dropping*. A boolean mask is `True` where attention is allowed, and a fully
# masked row gives zeros. "Convolution" is cross-correlation. $\mathrm{ReLU}'(0) = 0$ and $\operatorname{sign}(0) = 0$.

# %%
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

# %% [markdown]
# ## 1. Log-sum-exp: a maximum that you can differentiate
#
# *Goal: a sum of exponentials that survives any logits · ★★☆ · 20 minutes · 12 points*
#
# The denominator of the softmax, seen on a log scale, is
#
# $$
# \operatorname{lse}(x) = \log \sum_{j=1}^{q} e^{x_j},
# \qquad
# \max_j x_j \;\le\; \operatorname{lse}(x) \;\le\; \max_j x_j + \log q .
# $$
#
# It is a *smooth maximum*: never below the largest entry, never more than $\log q$ above it, and differentiable
# everywhere. Its value is always harmless. What lies on the way there is not: in float32, $e^{88.8}$ is already
# infinite, and $e^{-104}$ is already zero. The remedy is a line of algebra. For any constant $m$,
#
# $$
# \log \sum_j e^{x_j} = m + \log \sum_j e^{x_j - m},
# $$
#
# and with $m = \max_j x_j$ the largest term of the sum is $e^0 = 1$: nothing overflows, and what underflows was too
# small to matter. Each row needs *its own* maximum: with one maximum for the whole tensor, a row of small logits next
# to a row of large ones still becomes $\log 0$.
#
# One case is left: $m$ itself may be infinite. If all entries are $-\infty$ (an impossible event: no mass at all) the
# answer is $-\infty$, but $-\infty - (-\infty)$ is `nan`.
#
# **Specification** · `logsumexp(x, dim, keepdim=False) -> Tensor`
#
# * `x`: floating-point tensor of any shape. `dim`: an int, possibly negative.
# * Returns $\operatorname{lse}$ along `dim`, in the dtype of `x`; `dim` is removed, or kept with size 1 if `keepdim`.
# * All entries $-\infty$ give $-\infty$; an entry $+\infty$ gives $+\infty$. Single entries of $-\infty$ count as zero
#   mass, in the value and in the gradient.
# * Differentiable twice. No side effects.
#
# This slow loop defines the result for a vector, up to rounding:
#
# ```python
# m = max(x)
# total = 0.0
# for value in x:
#     total += math.exp(value - m)
# result = m + math.log(total)
# ```


# %% nbgrader={"grade": false, "grade_id": "logsumexp", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="logsumexp"
def logsumexp(x: Tensor, dim: int, keepdim: bool = False) -> Tensor:
    """Compute log Σ exp(x) along ``dim`` without overflow or underflow.

    Args:
        x: floating-point tensor of any shape.
        dim: the dimension to reduce; may be negative.
        keepdim: keep ``dim`` with size 1.

    Returns:
        Tensor of the dtype of ``x``; −inf where all entries are −inf, +inf where one is +inf.
    """
    ### BEGIN SOLUTION
    peak = x.detach().amax(dim, keepdim=True)
    peak = torch.where(peak.isfinite(), peak, torch.zeros_like(peak))
    result = (x - peak).exp().sum(dim, keepdim=True).log() + peak
    return result if keepdim else result.squeeze(dim)
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-logsumexp", "locked": true, "points": 12, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("logsumexp")

# %% [markdown]
# **See it.** Two curves over $t$ from −6 to 6: $\max(t, 0)$ has a corner at 0; $\operatorname{lse}(t, 0)$ is the same
# curve with the corner rounded off, highest above it, by $\log 2 \approx 0.69$, exactly at $t = 0$. The right panel
# shows the direct formula $\log(e^t + e^0)$ in float32 for $t$ from 60 to 120: it follows the diagonal and ends at
# $t \approx 88.7$, where $e^t$ becomes infinite. Yours goes on.

# %% tags=["see"]
import matplotlib.pyplot as plt

t = torch.linspace(-6, 6, 201)
big = torch.linspace(60, 120, 241)
pair = torch.stack([t, torch.zeros_like(t)])
big_pair = torch.stack([big, torch.zeros_like(big)])

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
left.plot(t, pair.amax(0), "--", label="max(t, 0)")
left.plot(t, logsumexp(pair, dim=0), label="logsumexp(t, 0)")
left.set_xlabel("t")
left.legend()
right.plot(big, logsumexp(big_pair, dim=0), label="logsumexp(t, 0)")
right.plot(big, big_pair.exp().sum(0).log(), ":", linewidth=4, label="log(exp(t) + exp(0)), float32")
right.set_xlabel("t")
right.legend()
plt.show()

# %% [markdown]
# **To think about** (not marked). The gradient of $\operatorname{lse}$ is a function that you are about to write.
# Which one? And why may the maximum $m$ be treated as a constant when differentiating, although it depends on $x$?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 2. Softmax and log-softmax
#
# *Goal: probabilities, and their logarithms without a detour · ★★☆ · 15 minutes · 12 points*
#
# $$
# \operatorname{softmax}(x)_k = \frac{e^{x_k}}{\sum_j e^{x_j}} = \frac{e^{x_k - m}}{\sum_j e^{x_j - m}},
# \qquad
# \log\operatorname{softmax}(x)_k = x_k - \operatorname{lse}(x).
# $$
#
# Adding a constant to every entry of a row changes nothing: softmax depends only on *differences* of logits, and one
# degree of freedom in every row is free. That is what lets us subtract the maximum.
#
# Why write `log_softmax` separately, when `softmax(x).log()` is the same formula? For logits $(0, -200, 1000)$ the
# softmax in floating point is exactly $(0, 0, 1)$, and the logarithm of the first two is $-\infty$. The true values,
# $-1000$ and $-1200$, are perfectly ordinary numbers: take the logarithm *before* anything can underflow.
#
# **Specification** · `softmax(x, dim=-1) -> Tensor`, `log_softmax(x, dim=-1) -> Tensor`
#
# * `x`: floating-point tensor of any shape. The result has its shape and dtype.
# * Right for logits of any size; the maximum is taken along `dim`, not over the whole tensor.
# * Entries of $-\infty$ are allowed, as long as the row has a finite entry: probability 0, log-probability $-\infty$.
# * Differentiable twice. No side effects.


# %% nbgrader={"grade": false, "grade_id": "softmax", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="softmax"
def softmax(x: Tensor, dim: int = -1) -> Tensor:
    """Turn logits into probabilities along ``dim``.

    Args:
        x: floating-point tensor of any shape; entries of −inf get probability 0.
        dim: the dimension along which the result sums to one.

    Returns:
        Tensor of the shape and dtype of ``x``.
    """
    ### BEGIN SOLUTION
    weights = (x - x.detach().amax(dim, keepdim=True)).exp()
    return weights / weights.sum(dim, keepdim=True)
    ### END SOLUTION


def log_softmax(x: Tensor, dim: int = -1) -> Tensor:
    """Compute log(softmax(x)) along ``dim`` without ever forming a probability that could underflow.

    Args:
        x: floating-point tensor of any shape.
        dim: the dimension along which the exponentials of the result sum to one.

    Returns:
        Tensor of the shape and dtype of ``x``.
    """
    ### BEGIN SOLUTION
    shifted = x - x.detach().amax(dim, keepdim=True)
    return shifted - shifted.exp().sum(dim, keepdim=True).log()
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-softmax", "locked": true, "points": 12, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("softmax")

# %% [markdown]
# **To think about** (not marked). Multiply the logits by 10: what happens to the probabilities? Divide them by 10?
# (The divisor is called the *temperature*.) What is the softmax of equal logits?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 3. One-hot labels
#
# *Goal: labels as rows of a matrix · ★☆☆ · 10 minutes · 6 points*
#
# A label $y \in \{0, \dots, q-1\}$ becomes a row of zeros with a single one at position $y$: the probability
# distribution of somebody who is certain. With labels written like this, cross-entropy and its gradient are formulas
# without an index: $L = -\frac1n \sum_{ik} Y_{ik} \log \hat P_{ik}$.
#
# **Specification** · `one_hot(y, q, dtype=torch.float32) -> Tensor`
#
# * `y`: `int64` tensor of any shape `(...)`, also `()`. The result has shape `(..., q)` and dtype `dtype`.
# * A label below 0 or above $q-1$ raises `ValueError` or `IndexError`. Careful: $-1$ is a valid *index* in Python.
# * No side effects.
#
# This slow loop defines the result for a vector `y`:
#
# ```python
# result = torch.zeros(len(y), q, dtype=dtype)
# for i, label in enumerate(y.tolist()):
#     result[i, label] = 1
# ```


# %% nbgrader={"grade": false, "grade_id": "one_hot", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="one_hot"
def one_hot(y: Tensor, q: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Encode labels as rows with a single one.

    Args:
        y: int64 labels in 0 … q−1, any shape (...).
        q: the number of classes.
        dtype: dtype of the result.

    Returns:
        Tensor of shape (..., q).

    Raises:
        ValueError: a label is negative or not below q (IndexError is as good).
    """
    ### BEGIN SOLUTION
    if ((y < 0) | (y >= q)).any():
        raise ValueError(f"labels must lie in 0 … {q - 1}")
    return (y.unsqueeze(-1) == torch.arange(q, device=y.device)).to(dtype)
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-one_hot", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("one_hot")

# %% [markdown]
# ## 4. Cross-entropy, from logits
#
# *Goal: the loss of every classifier, right to the last digit · ★★★ · 35 minutes · 21 points*
#
# The *negative log-likelihood* of the true class,
#
# $$
# \ell_i = -\log \hat p_{i\,y_i} = \operatorname{lse}(o_i) - o_{i\,y_i},
# $$
#
# is the number of nats by which the label surprised the model. A model that knows nothing says $1/q$ for each class
# and pays $\log q$: for ten digits, 2.303. **An untrained classifier must start near $\log q$**; if yours doesn't,
# look for the bug before you train.
#
# Written with probabilities, `-(p + 1e-8).log()` never gives `inf`, and is wrong twice: a confident mistake
# costs at most 18.4 instead of, say, 2000, with a gradient that vanishes exactly where it is needed; and
# a confident success costs $-10^{-8}$ (in float64), less than nothing. Stay in the log domain and no patch is needed.
#
# **Label smoothing** $\varepsilon$ asks the model not to be too sure: the target puts $1-\varepsilon$ on the label and
# spreads $\varepsilon$ evenly over **all** $q$ classes, the true one included. This is PyTorch's convention (there are
# texts that spread it over the other $q-1$):
#
# $$
# \ell_i = (1-\varepsilon)\,\bigl(-\log \hat p_{i\,y_i}\bigr) + \frac{\varepsilon}{q} \sum_{k=1}^{q} \bigl(-\log \hat p_{ik}\bigr).
# $$
#
# **Specification** · `cross_entropy(logits, target, reduction="mean", label_smoothing=0.0) -> Tensor`
#
# * `logits`: `(n, q)`, floating point, any size. `target`: `(n,)`, `int64`.
# * `reduction`: `"mean"` or `"sum"` over the $n$ samples (a scalar), or `"none"` (shape `(n,)`). The dtype is that of
#   `logits`.
# * Another `reduction`, or shapes that don't fit (`logits` not 2-D, `target` not 1-D, different $n$): `ValueError`.
# * A target that is not an integer, is negative or is not below $q$ raises an error (`ValueError`, `TypeError`,
#   `IndexError` or `RuntimeError`). There is no `ignore_index`.
# * Losses and gradients are exact also for logits of $\pm 10^4$, and small losses keep their relative precision.
#   Differentiable twice. No side effects.
# * **Cost**: the number of PyTorch operations does not grow with $n$ (no loop over samples), and at no time do all your
#   intermediate tensors together take more than 4.5 times the memory of `logits`. On the clock: at most 20 times as
#   long as our solution; read from outside, at most four times its memory.
#
# This slow loop defines the result for `reduction="none"` and no smoothing:
#
# ```python
# losses = []
# for row, label in zip(logits, target.tolist()):
#     losses.append(logsumexp(row, dim=0) - row[label])
# ```


# %% nbgrader={"grade": false, "grade_id": "cross_entropy", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="cross_entropy"
def cross_entropy(logits: Tensor, target: Tensor, reduction: str = "mean", label_smoothing: float = 0.0) -> Tensor:
    """Compute the cross-entropy of integer labels under softmax(logits).

    Args:
        logits: (n, q), floating point.
        target: (n,), int64 in 0 … q−1.
        reduction: "mean", "sum" or "none".
        label_smoothing: the share of the target that is spread evenly over all q classes.

    Returns:
        Scalar for "mean" and "sum", (n,) for "none"; dtype of ``logits``.

    Raises:
        ValueError: unknown reduction, shapes that do not fit, label out of range.
        TypeError: ``target`` is not int64.
    """
    ### BEGIN SOLUTION
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', not {reduction!r}")
    if logits.ndim != 2 or target.ndim != 1 or len(logits) != len(target):
        raise ValueError(f"need logits (n, q) and target (n,), got {tuple(logits.shape)} and {tuple(target.shape)}")
    if target.dtype != torch.int64:
        raise TypeError(f"target must be int64, not {target.dtype}")
    if ((target < 0) | (target >= logits.shape[1])).any():
        raise ValueError(f"labels must lie in 0 … {logits.shape[1] - 1}")

    log_p = log_softmax(logits, dim=1)
    loss = -log_p.gather(1, target.unsqueeze(1)).squeeze(1)
    if label_smoothing > 0:
        loss = (1 - label_smoothing) * loss - label_smoothing * log_p.mean(dim=1)
    if reduction == "mean":
        return loss.mean()
    return loss.sum() if reduction == "sum" else loss
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-cross_entropy", "locked": true, "points": 21, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("cross_entropy")

# %% [markdown]
# **See it.** Two classes; the horizontal axis is the margin $o_y - o_{\text{other}}$ from −12 to 12. The loss falls
# like a straight line of slope −1 while the model is wrong, passes $\log 2$ at margin 0, and then decays
# exponentially without ever reaching 0. The dashed line is its slope, $\hat p_y - 1$: close to −1 on the left (a wrong
# model feels the full pull however wrong it is) and close to 0 on the right (a right one is left in peace).

# %% tags=["see"]
margin = torch.linspace(-12, 12, 241, requires_grad=True)
two_logits = torch.stack([margin, torch.zeros_like(margin)], dim=1)
losses = cross_entropy(two_logits, torch.zeros(len(margin), dtype=torch.int64), reduction="none")
(slope,) = torch.autograd.grad(losses.sum(), margin)

figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
axes.plot(margin.detach(), losses.detach(), label="cross-entropy")
axes.plot(margin.detach(), slope, "--", label="its slope")
axes.set_xlabel("margin of the true class")
axes.legend()
plt.show()

# %% [markdown]
# **To think about** (not marked). With label smoothing 0.1 and two classes, at which margin is the loss smallest? What
# does that say about the logits of a network that is trained with smoothing?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 5. The gradient, by hand
#
# *Goal: know what autograd will say before you ask it · ★★☆ · 25 minutes · 15 points*
#
# Differentiate $\ell_i = \operatorname{lse}(o_i) - o_{i\,y_i}$ with respect to the logits. The first term gives the
# softmax, the second a one-hot row:
#
# $$
# \frac{\partial \ell_i}{\partial o_{ik}} = \hat p_{ik} - [k = y_i].
# $$
#
# *Prediction minus truth.* The chain rule through $O = XW + b$ does the rest, and shapes leave only one way to
# write it. With $G = \frac1n (\hat P - Y)$ of shape $(n, q)$:
#
# $$
# \underbrace{\frac{\partial L}{\partial W}}_{(d,\,q)} = \underbrace{X^\top}_{(d,\,n)}\,\underbrace{G}_{(n,\,q)},
# \qquad
# \underbrace{\frac{\partial L}{\partial b}}_{(q)} = \sum_{i=1}^{n} G_{i\cdot}\,.
# $$
#
# **Specification** · `softmax_regression_grads(X, y, W, b) -> (loss, dW, db)`
#
# * `X`: `(n, d)`; `y`: `(n,)` `int64`; `W`: `(d, q)`; `b`: `(q,)`. Floating-point tensors have one common dtype.
# * Returns the mean cross-entropy (a scalar tensor) and its gradients, shapes `(d, q)` and `(q,)`, in that dtype.
# * Closed form or autograd, as you like. Either way: `W` and `b` may be `nn.Parameter`s with something in `.grad`
#   already, and that something must neither change nor change your result.
# * Finite and exact for large logits too. No side effects.
#
# A gradient can always be checked against differences: in float64 with a step of $10^{-6}$, the central difference
# $(L(w + h) - L(w - h)) / 2h$ should agree with yours to about $10^{-9}$. An error of $10^{-2}$ is a bug.


# %% nbgrader={"grade": false, "grade_id": "grads", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="grads"
def softmax_regression_grads(X: Tensor, y: Tensor, W: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the mean cross-entropy of softmax regression and its gradients.

    Args:
        X: (n, d) features.
        y: (n,) int64 labels.
        W: (d, q) weights.
        b: (q,) biases.

    Returns:
        (loss, dW, db) of shapes (), (d, q), (q,).
    """
    ### BEGIN SOLUTION
    logits = X @ W + b
    loss = cross_entropy(logits, y)
    G = (softmax(logits, dim=1) - one_hot(y, len(b), dtype=logits.dtype)) / len(X)
    return loss, X.T @ G, G.sum(dim=0)
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-grads", "locked": true, "points": 15, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("grads")

# %% [markdown]
# **To think about** (not marked). Each row of $\hat P - Y$ sums to zero. What does this say about the sum of `db`, and
# about the sum of each row of `dW`? Where have you met this free degree of freedom before?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 6. Entropy and KL divergence
#
# *Goal: what the loss measures · ★☆☆ · 15 minutes · 8 points*
#
# The expected surprise of a distribution $p$ is its *entropy*; the *extra* surprise from believing $q$ when the truth
# is $p$ is the *Kullback–Leibler divergence*:
#
# $$
# H(p) = -\sum_k p_k \log p_k,
# \qquad
# D(p \,\|\, q) = \sum_k p_k \log\frac{p_k}{q_k},
# \qquad
# \underbrace{-\sum_k p_k \log q_k}_{\text{cross-entropy}} = H(p) + D(p \,\|\, q).
# $$
#
# For a one-hot $p$ the entropy is 0, so minimising cross-entropy *is* minimising the divergence. $D \ge 0$, it is 0 only
# for $p = q$, and it is not symmetric. Since $t \log t \to 0$ as $t \to 0$, a class with $p_k = 0$ contributes
# **nothing**, whatever $q_k$ is; a class that happens ($p_k > 0$) although $q$ calls it impossible ($q_k = 0$) makes
# the divergence **infinite**. In code, `0 * log(0)` is `nan`.
#
# **Specification** · `entropy(p, dim=-1) -> Tensor`, `kl_divergence(p, q, dim=-1) -> Tensor`
#
# * `p`, `q`: probabilities along `dim`, same shape, one floating-point dtype, which the result keeps. `dim` is removed.
# * Natural logarithm. $0 \log 0 = 0$ (also $0 \log \tfrac00$); $D = \infty$ where $q_k = 0 < p_k$ for some $k$.
# * Differentiable twice where the probabilities are positive. No side effects.


# %% nbgrader={"grade": false, "grade_id": "information", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="information"
def entropy(p: Tensor, dim: int = -1) -> Tensor:
    """Compute −Σ p log p along ``dim``, in nats; 0 log 0 counts as 0.

    Args:
        p: probabilities along ``dim``.
        dim: the dimension to reduce.

    Returns:
        Tensor of the dtype of ``p`` without ``dim``.
    """
    ### BEGIN SOLUTION
    return -torch.xlogy(p, p).sum(dim)
    ### END SOLUTION


def kl_divergence(p: Tensor, q: Tensor, dim: int = -1) -> Tensor:
    """Compute Σ p log(p / q) along ``dim``, in nats.

    Args:
        p: true probabilities along ``dim``.
        q: believed probabilities, of the same shape.
        dim: the dimension to reduce.

    Returns:
        Tensor of the dtype of ``p`` without ``dim``; +inf where q is 0 and p is not.
    """
    ### BEGIN SOLUTION
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(dim)
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-information", "locked": true, "points": 8, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("information")

# %% [markdown]
# **To think about** (not marked). $p$ has two peaks, and $q$ may have only one. Which $q$ makes $D(p\,\|\,q)$ small: one
# that covers both peaks, or one that sits on a single peak? And which makes $D(q\,\|\,p)$ small?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 7. Accuracy and mini-batches
#
# *Goal: the two small tools of every training loop · ★☆☆ · 15 minutes · 8 points*
#
# One *epoch* visits every sample once, in a random order, $B$ at a time: $\lceil n/B \rceil$ batches, the last of which
# may be short ($\lfloor n/B \rfloor$ if short batches are dropped). The order must change from epoch to epoch, and it
# must be reproducible. Both come from a `torch.Generator`: seed it *once*, outside, and let it run on. Seeding it in
# each epoch would give the same order each time; seeding the global one (`torch.manual_seed`) would quietly reset the
# randomness of everybody else.
#
# **Specification** · `accuracy(logits, y) -> float`
#
# * `logits`: `(n, q)`; `y`: `(n,)` `int64`. Returns the share of rows whose largest logit is at `y`, as a Python `float`.
# * No side effects.
#
# **Specification** · `minibatches(n, batch_size, *, generator=None, shuffle=True, drop_last=False)`
#
# * Yields 1-D `int64` index tensors (an iterator or a list of them). Together they hold each of $0, \dots, n-1$ once; each has
#   `batch_size` entries, except the last, which has what is left, or is left out with `drop_last`.
# * `shuffle=False`: in order, no randomness used. `shuffle=True`: a fresh order for each call, drawn from `generator`
#   (`None`: PyTorch's global generator, as everywhere in PyTorch).
# * With a generator given, the global random state stays as it was.


# %% nbgrader={"grade": false, "grade_id": "batches", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="batches"
def accuracy(logits: Tensor, y: Tensor) -> float:
    """Compute the share of rows of ``logits`` whose largest entry is at ``y``.

    Args:
        logits: (n, q).
        y: (n,) int64 labels.

    Returns:
        A Python float between 0 and 1.
    """
    ### BEGIN SOLUTION
    return (logits.argmax(dim=1) == y).double().mean().item()
    ### END SOLUTION


def minibatches(
    n: int,
    batch_size: int,
    *,
    generator: torch.Generator | None = None,
    shuffle: bool = True,
    drop_last: bool = False,
) -> Iterator[Tensor]:
    """Yield the indices 0 … n−1 in batches.

    Args:
        n: the number of samples.
        batch_size: the number of indices in a batch.
        generator: the source of the shuffle; None is PyTorch's global one.
        shuffle: a fresh random order, or 0, 1, 2, …
        drop_last: leave out a last batch that is short.

    Yields:
        1-D int64 tensors.
    """
    ### BEGIN SOLUTION
    order = torch.randperm(n, generator=generator) if shuffle else torch.arange(n)
    end = n - n % batch_size if drop_last else n
    for start in range(0, end, batch_size):
        yield order[start : start + batch_size]
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-batches", "locked": true, "points": 8, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("batches")

# %% [markdown]
# ## 8. The model, and its training loop
#
# *Goal: everything together, trained by stochastic gradient descent · ★★★ · 40 minutes · 14 points*
#
# Each step takes a batch $\mathcal B$, and moves against the gradient of the batch's mean loss plus a penalty
# $\frac{\lambda}{2} \lVert W \rVert^2$ (*weight decay*):
#
# $$
# W \leftarrow W - \eta \left( \frac{\partial L_{\mathcal B}}{\partial W} + \lambda W \right),
# \qquad
# b \leftarrow b - \eta\, \frac{\partial L_{\mathcal B}}{\partial b}.
# $$
#
# The bias is **not** decayed: it only sets how frequent each class is, and pulling it towards 0 would make the model
# wrong about that even with unlimited data.
#
# A trap that nearly everybody falls into: **what is the loss of an epoch?** The batch losses are means over their
# batches. Adding them up and dividing by $n$ is off by a factor of the batch size; their plain average counts the
# samples of a short last batch too much. Weigh each by its size:
#
# $$
# L_{\text{epoch}} = \frac1n \sum_{\mathcal B} |\mathcal B|\, L_{\mathcal B}.
# $$
#
# (This average is measured *while the model changes*: it is usually a little higher than the loss of the final model
# on the same data.)
#
# **Specification** · `class SoftmaxRegression(n_features, n_classes, *, generator=None, dtype=torch.float32)`
#
# * `.W`: `(n_features, n_classes)`, drawn from $\mathcal N(0,\, 0.01^2)$ with `generator`; `.b`: `(n_classes,)`, zeros;
#   both of dtype `dtype`. Small weights, so that the first loss is close to $\log q$.
# * `.logits(X) -> (n, q)`, `.predict_proba(X) -> (n, q)`, `.predict(X) -> (n,)`, `int64`.
# * `.fit(X, y, *, epochs, lr, batch_size=64, weight_decay=0.0, generator=None) -> list[float]`: plain mini-batch SGD
#   as above, from the current `W` and `b` (a second call goes on where the first ended). In each epoch the samples are
#   visited once, freshly shuffled with `generator`, the short last batch included. Returns one float an epoch:
#   $L_{\text{epoch}}$, where $L_{\mathcal B}$ is the batch's mean cross-entropy *before* its step, without the penalty.
# * The rules for every function count for the methods too; only `fit` changes the model. What `logits`, `predict_proba`
#   and `predict` return need not carry a graph.
# * With both generators given, the result is the same to the last bit in every run.
#
# `W` and `b` may be plain tensors or `nn.Parameter`s, and the class may be an `nn.Module`, as you like.


# %% nbgrader={"grade": false, "grade_id": "model", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="model"
class SoftmaxRegression:
    """A linear classifier trained with cross-entropy.

    Attributes:
        W: (n_features, n_classes) weights.
        b: (n_classes,) biases.
    """

    def __init__(
        self,
        n_features: int,
        n_classes: int,
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Draw small random weights from ``generator``; the biases start at zero."""
        ### BEGIN SOLUTION
        self.W = 0.01 * torch.randn(n_features, n_classes, generator=generator, dtype=dtype)
        self.b = torch.zeros(n_classes, dtype=dtype)
        ### END SOLUTION

    def logits(self, X: Tensor) -> Tensor:
        """Map features (n, d) to logits (n, q)."""
        ### BEGIN SOLUTION
        return X @ self.W + self.b
        ### END SOLUTION

    def predict_proba(self, X: Tensor) -> Tensor:
        """Map features (n, d) to probabilities (n, q); each row sums to one."""
        ### BEGIN SOLUTION
        return softmax(self.logits(X), dim=1)
        ### END SOLUTION

    def predict(self, X: Tensor) -> Tensor:
        """Map features (n, d) to the most probable classes (n,), int64."""
        ### BEGIN SOLUTION
        return self.logits(X).argmax(dim=1)
        ### END SOLUTION

    def fit(
        self,
        X: Tensor,
        y: Tensor,
        *,
        epochs: int,
        lr: float,
        batch_size: int = 64,
        weight_decay: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> list[float]:
        """Train by mini-batch SGD from the current W and b.

        Args:
            X: (n, d) features.
            y: (n,) int64 labels.
            epochs: passes over the data.
            lr: step size.
            batch_size: samples a step; the last batch of an epoch may be short.
            weight_decay: λ of the penalty λ/2 ‖W‖²; the bias has none.
            generator: source of the shuffle.

        Returns:
            The sample-weighted mean of the batch losses, one float an epoch.
        """
        ### BEGIN SOLUTION
        history = []
        for _ in range(epochs):
            total = 0.0
            for batch in minibatches(len(X), batch_size, generator=generator):
                loss, dW, db = softmax_regression_grads(X[batch], y[batch], self.W, self.b)
                self.W = self.W - lr * (dW + weight_decay * self.W)
                self.b = self.b - lr * db
                total += loss.item() * len(batch)
            history.append(total / len(X))
        return history
        ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-model", "locked": true, "points": 14, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("model")

# %% [markdown]
# **See it.** Handwritten digits: 1 797 pictures of 8 × 8 pixels, 1 400 of them for training. On the left the loss of
# each epoch: the first point is already well below $\log 10 \approx 2.3$, because the model learns while the first epoch
# is being measured; then it falls ever more slowly. On the right the ten columns of $W$ as pictures, one for each digit:
# red pixels speak for the digit, blue pixels against it. The 0 has a blue hole in its middle. The printed test accuracy
# should be above 0.92.

# %% tags=["see"]
from sklearn.datasets import load_digits

digits = load_digits()
order = torch.randperm(1797, generator=torch.Generator().manual_seed(0))
images = torch.tensor(digits.data / 16, dtype=torch.float32)[order]
labels = torch.tensor(digits.target, dtype=torch.int64)[order]

model = SoftmaxRegression(64, 10, generator=torch.Generator().manual_seed(1))
history = model.fit(
    images[:1400], labels[:1400], epochs=30, lr=0.5, weight_decay=1e-4, generator=torch.Generator().manual_seed(2)
)
print(f"test accuracy {accuracy(model.logits(images[1400:]), labels[1400:]):.3f}")

figure = plt.figure(figsize=(10, 3), layout="constrained")
left, right = figure.subfigures(1, 2)
axes = left.subplots()
axes.plot(range(1, 31), history)
axes.set_xlabel("epoch")
axes.set_ylabel("training loss")
axes.set_ylim(bottom=0)
for digit, axes in enumerate(right.subplots(2, 5).flat):
    column = model.W.detach()[:, digit].reshape(8, 8)
    axes.imshow(column.numpy(), cmap="coolwarm", vmin=-2, vmax=2)
    axes.set_title(str(digit), fontsize=9)
    axes.axis("off")
plt.show()

# %% [markdown]
# **To think about** (not marked). The loss is convex in $(W, b)$, so there are no bad local minima. Would starting from
# $W = 0$ work just as well here? Why would it be a bad idea for a network with a hidden layer?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 9. Find the bug
#
# *Goal: a test that right code passes and wrong code does not · ★★☆ · 20 minutes · 4 points*
#
# Now you are the examiner. Here is a classmate's smoothed cross-entropy. It agrees with yours on the first example that
# comes to mind, two classes and logits $(0, 0)$. For a model that has learnt to read digits it is a little too large:


# %%
def smoothed_over_the_others(
    logits: Tensor, target: Tensor, reduction: str = "mean", label_smoothing: float = 0.0
) -> Tensor:
    """Give the smoothing to the other q − 1 classes. Not what this course calls label smoothing."""
    log_p = log_softmax(logits, dim=1)
    y = torch.full_like(log_p, label_smoothing / (logits.shape[1] - 1))
    y[torch.arange(len(target)), target] = 1 - label_smoothing
    loss = -(y * log_p).sum(dim=1)
    return {"mean": loss.mean(), "sum": loss.sum(), "none": loss}[reduction]


# %% [markdown]
# `check_cross_entropy(fn)` receives a function that claims to be the `cross_entropy` of exercise 4, and decides. It will
# meet right functions in several styles, and wrong ones with bugs of these kinds:
#
# * **smoothing**: ignored, spread over the wrong classes, or only half done;
# * **reduction**: `"mean"`, `"sum"` or `"none"` gives what another one should, or divides by the wrong number;
# * **labels**: the probability of another class is taken;
# * **numbers**: `inf` or `nan` for large logits, also if only some rows are large; large losses cut off; small losses off
#   by something like $10^{-8}$; float64 comes in and float32 goes out, or the result is only as exact as float32;
# * **gradient**: cut off, or not that of the loss, though the loss is right.
#
# All of them take valid arguments without an error and leave them alone. None of them is wrong only for special sizes:
# each shows its bug for any $n \ge 4$ and $q \ge 3$, if the logits, labels and options are of the kind that it minds.
#
# **Specification** · `check_cross_entropy(fn) -> None`
#
# * `fn`: a function with the signature of `cross_entropy`. Call it as often as you need, up to 200 times, with valid
#   arguments: float64 logits between −5000 and 5000 (no infinities).
# * Returns `None` if `fn` is right. A right loss or gradient may differ from yours by rounding: by $10^{-9}$, or
#   $10^{-9}$ of its size if that is more.
# * Raises `AssertionError` if `fn` is wrong (so `assert` does). Another exception does not count: mind wrong shapes, and
#   results without a gradient, before you compare.
# * The functions run in another process, so look at what they return, not at how. The rules of this notebook hold for
#   yours: it leaves the global random generator alone (make inputs with a generator of your own).
#
# You may compare with your own `cross_entropy`, with the slow loop of exercise 4, or use cases whose result you know.


# %% nbgrader={"grade": false, "grade_id": "bug", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="bug"
def check_cross_entropy(fn: Callable[..., Tensor]) -> None:
    """Put an implementation of ``cross_entropy`` to the test.

    Args:
        fn: called as fn(logits, target, reduction, label_smoothing).

    Raises:
        AssertionError: it is wrong.
    """
    ### BEGIN SOLUTION
    generator = torch.Generator().manual_seed(0)
    scales = torch.tensor([1.0, 30.0, 1000.0], dtype=torch.float64).repeat(4).unsqueeze(1)
    logits = (scales * torch.randn(12, 5, generator=generator, dtype=torch.float64)).requires_grad_()
    likely = logits.argmax(dim=1)
    target = torch.where(torch.arange(12) < 6, likely, (likely + 1) % 5)

    shifted = logits - logits.amax(dim=1, keepdim=True)
    log_p = shifted - shifted.exp().sum(dim=1, keepdim=True).log()
    for smoothing in (0.0, 0.3):
        shares = smoothing / 5 + (1 - smoothing) * torch.eye(5, dtype=torch.float64)[target]
        losses = -(shares * log_p).sum(dim=1)
        for reduction, expected in (("mean", losses.mean()), ("sum", losses.sum()), ("none", losses)):
            loss = fn(logits, target, reduction, smoothing)
            assert loss.dtype == torch.float64 and loss.requires_grad, "wrong dtype, or no gradient"
            assert loss.shape == expected.shape, "wrong shape"
            assert torch.allclose(loss, expected, rtol=1e-8, atol=2e-9), "wrong values"
            due, found = (torch.autograd.grad(each.sum(), logits, retain_graph=True)[0] for each in (expected, loss))
            assert torch.allclose(found, due, rtol=1e-8, atol=2e-9), "wrong gradient"
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-bug", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("bug")

# %% [markdown]
# **To think about** (not marked). Which line of `smoothed_over_the_others` is it? And why did two classes with logits
# $(0, 0)$ not tell?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## Before you hand in (not marked)
#
# Restart the kernel, run all cells, and read what the checks say. Then, if you like, tell us:
#
# 1. How many hours did this notebook take you?
# 2. Which exercise taught you most, and which least?
# 3. What was unclear?

# %% [markdown] tags=["answer"]
# *Your answer:*
