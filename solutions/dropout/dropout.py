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
# # Dropout
#
# During training, throw away half of what the network has just computed. Which half is decided anew, by flipping a coin
# for every single number, in every single step. It sounds like sabotage, and it is one of the most useful tricks in the
# field: a unit that can't rely on its neighbours being there must be useful on its own, and the network that
# comes out behaves like an average of the very many thinned networks it was trained as.
#
# With a *mask* $m$ of the shape of $x$, dropout with probability $p$ is
#
# $$
# y_i = m_i\, x_i,
# \qquad
# m_i = \begin{cases} 0 & \text{with probability } p,\\[2pt] \dfrac{1}{1-p} & \text{with probability } 1-p, \end{cases}
# \qquad
# \mathbb E[m_i] = 1, \quad \operatorname{Var}[m_i] = \frac{p}{1-p},
# $$
#
# all $m_i$ independent. The factor $\frac1{1-p}$ is the whole point of the formula: **the expectation of $y$ is $x$**,
# so that nothing needs to change when the noise is switched off. In evaluation, $y = x$.
#
# One line of mathematics; what can go wrong is everything around it. Is the coin flipped for each number, or once a
# row? Is the noise really off in evaluation? Where do the random numbers come from, and whose random numbers do they
# disturb? You'll write dropout so that all this is right, test it with statistics instead of luck, and then
# use it for something that it wasn't invented for: to ask a network how sure it is.
#
# **What you will be able to do**: write noise that preserves expectations; keep training and evaluation apart in a
# module; convert between the two conventions of dropout; handle random generators cleanly; build an ensemble
# out of one network; and tell by a test whether an implementation of something random is right.

# %% [markdown]
# ## How this notebook works
#
# | exercise | you write | difficulty | minutes | points |
# | --- | --- | --- | --- | --- |
# | 1 | `dropout_mask` | ★★☆ | 20 | 17 |
# | 2 | `dropout` | ★★☆ | 20 | 20 |
# | 3 | `Dropout` | ★☆☆ | 15 | 12 |
# | 4 | `StandardDropout`, `fold_standard_dropout` | ★★☆ | 25 | 15 |
# | 5 | `dropout2d` | ★☆☆ | 10 | 8 |
# | 6 | `DropoutMLP` | ★★☆ | 20 | 12 |
# | 7 | `mc_dropout_predict` | ★★★ | 30 | 12 |
# | 8 | `check_dropout`: find the bug | ★★★ | 30 | 4 |
#
# Each exercise ends with a cell that runs the *public* checks on your code: ✔ it holds, ✘ it does not (with a hint),
# ○ not attempted yet. They are worth 30 of the 100 points. The other points come from checks that you don't see: other
# shapes and dtypes, statistics, gradients, side effects, cost. Everything they ask for is written in the specification
# of the exercise. The first check of an exercise is its *gate*: while it fails, the other checks of the exercise do not
# count. Plots and public checks are not run when your notebook is marked.
#
# **Rules for every function and module**
#
# * It leaves its arguments alone (values, `requires_grad`, `.grad`), and PyTorch's global state as well: grad mode,
#   default dtype. Its result shares no memory with its arguments; only where nothing is dropped, in evaluation and for
#   $p = 0$, it may be `x` itself.
# * **Random numbers** come from the `torch.Generator` that is handed in. Then the global generators are not touched,
#   and generators in equal states give equal results. `generator=None` means PyTorch's global generator, as everywhere
#   in PyTorch. Nobody but the caller ever *seeds* anything. What needs no randomness, such as dropout in evaluation,
#   uses none of any generator.
# * It keeps the dtype of its floating-point input, and takes tensors that are not contiguous, such as `x.t()`.
# * It is made of differentiable PyTorch operations, so that autograd works through it.
# * A probability `p` is a number with $0 \le p \le 1$. Anything else, NaN included, raises `ValueError`, in training
#   and in evaluation; a module raises it when it is made. Both ends are allowed: $p=0$ drops nothing, $p=1$ everything.
# * No loop over elements, rows or channels.
# * You may call functions of earlier exercises, or not, as you like.
#
# **Not allowed, in any exercise**, because it would be the answer: PyTorch's own dropout in every form, as a function
# (`F.dropout`, `F.dropout2d`, `F.alpha_dropout`, …, `torch.dropout`, `torch.native_dropout` and their relatives) or as
# a module (`nn.Dropout` and its relatives, as a base class, as a member or called). Use instead `torch.rand`,
# `torch.bernoulli`, `Tensor.bernoulli_`, comparisons, `where`, and whatever else you like. Comparing your result with
# the forbidden function *in a cell of your own* is a fine idea; delete that cell before you hand in.
#
# **Conventions of the course.** Dropout's $p$ is the probability of *dropping* (papers and older libraries often write
# $p$ for the probability of *keeping*). A boolean mask is `True` where attention is allowed, and a fully masked row
# gives zeros. "Convolution" is cross-correlation. $\mathrm{ReLU}'(0) = 0$ and $\operatorname{sign}(0) = 0$. Logarithms
# are natural.

# %%
from collections.abc import Callable, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from given import wave

# %% [markdown]
# ## 1. The mask
#
# *Goal: independent coin flips with expectation one · ★★☆ · 20 minutes · 17 points*
#
# A coin that lands on *drop* with probability $p$ is a uniform number $u \in [0, 1)$ and a comparison: $u < p$ has
# exactly probability $p$. One coin for **each entry**: a mask that drops whole rows, or always the same number of
# entries, has the right mean too, and is not dropout.
#
# The survivors get the value $\frac1{1-p}$, which is 2 for $p = 0.5$. For $p = 1$ there are no survivors, and
# nothing to divide by: the mask is all zeros, not `nan`.
#
# **Specification** · `dropout_mask(shape, p, *, generator=None, dtype=torch.float32, device=None) -> Tensor`
#
# * `shape`: a tuple of ints (a `torch.Size` is one), possibly empty. The result has this shape and the dtype `dtype`, a
#   floating-point one (`float64`, `float32`, `bfloat16` and `float16`), and lies on `device` (`None`: PyTorch's
#   default).
# * Each entry is 0 with probability `p`, otherwise $\frac1{1-p}$ rounded to `dtype`, independently of all other entries
#   and of earlier calls. `p=0` gives ones, `p=1` zeros.
# * The mask carries no graph. Each call draws a fresh mask, which advances the generator. `ValueError` for a bad `p`.
#
# This slow loop defines the distribution:
#
# ```python
# mask = torch.zeros(shape, dtype=dtype)
# for index in itertools.product(*map(range, shape)):
#     dropped = random.random() < p
#     mask[index] = 0 if dropped else 1 / (1 - p)
# ```


# %% nbgrader={"grade": false, "grade_id": "mask", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="mask"
def dropout_mask(
    shape: tuple[int, ...],
    p: float,
    *,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> Tensor:
    """Draw a mask whose entries are 0 with probability ``p`` and 1 / (1 − p) otherwise.

    Args:
        shape: shape of the mask.
        p: the probability of dropping, 0 ≤ p ≤ 1.
        generator: source of the coin flips; None is PyTorch's global one.
        dtype: floating-point dtype of the mask.
        device: where the mask lies; None is PyTorch's default.

    Returns:
        Tensor of this shape and dtype without a graph.

    Raises:
        ValueError: ``p`` is not a probability.
    """
    ### BEGIN SOLUTION
    if not 0 <= p <= 1:
        raise ValueError(f"p must be a probability, not {p}")
    keep = torch.empty(shape, dtype=dtype, device=device).bernoulli_(1 - p, generator=generator)
    return keep / (1 - p) if p < 1 else keep
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-mask", "locked": true, "points": 17, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("mask")

# %% [markdown]
# **See it.** Three masks of 40 × 80 entries, dark where an entry is dropped, for $p$ = 0.1, 0.5 and 0.9. Your eye will
# find clumps, streaks and holes in each: *that* is what independence looks like. If the dots were spread evenly, or in
# stripes along rows or columns, something would be wrong. The title counts what was dropped: close to 320, 1600 and
# 2880, hardly ever exactly.

# %% tags=["see"]
import matplotlib.pyplot as plt

generator = torch.Generator().manual_seed(0)
figure, panels = plt.subplots(1, 3, figsize=(10, 2.2), layout="constrained")
for p, axes in zip((0.1, 0.5, 0.9), panels, strict=True):
    mask = dropout_mask((40, 80), p, generator=generator)
    axes.imshow((mask > 0).numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(f"p = {p}: {int((mask == 0).sum())} of 3200 dropped", fontsize=9)
    axes.axis("off")
plt.show()

# %% [markdown]
# **To think about** (not marked). For $n$ entries the number of dropped ones has mean $np$ and standard deviation
# $\sqrt{np(1-p)}$. You see 1750 of 3200 dropped with $p = 0.5$: bad luck, or a bug? From how many standard
# deviations on would you call it a bug, and how often would you be wrong?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 2. Dropout as a function
#
# *Goal: noise with the right value, the right gradient and no side effects · ★★☆ · 20 minutes · 20 points*
#
# $$
# y = m \odot x \quad\text{in training},
# \qquad
# y = x \quad\text{in evaluation},
# \qquad
# \frac{\partial L}{\partial x_i} = m_i\, \frac{\partial L}{\partial y_i} \quad\text{in training}.
# $$
#
# The gradient passes through **the same mask**: what was dropped learns nothing in this step, what survived
# learns with the factor $\frac1{1-p}$. If you multiply by the mask, autograd does this for you. For $p = 1$ everything
# is dropped, and value *and* gradient are zero: not `nan`.
#
# **Specification** · `dropout(x, p=0.5, training=True, generator=None) -> Tensor`
#
# * `x`: finite floating-point tensor of any shape (`float64`, `float32`, `bfloat16` or `float16`). The result has its
#   shape and dtype.
# * `training=True`: each entry is dropped with probability `p`, independently of all others, and otherwise multiplied
#   by $\frac1{1-p}$. A fresh mask each call. `training=False`: the values of `x` (`x` itself or a copy), and no random
#   number is drawn.
# * `ValueError` for a bad `p`. The gradient is as above; at `p=1` it is zero.
# * At most 16 PyTorch operations, however large `x` is, and at the peak at most four times the memory of `x` in new
#   tensors (for a large `float32` tensor). On the clock: at most six times as long as PyTorch's own dropout; read from
#   outside, at most three times its memory.


# %% nbgrader={"grade": false, "grade_id": "dropout", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="dropout"
def dropout(x: Tensor, p: float = 0.5, training: bool = True, generator: torch.Generator | None = None) -> Tensor:
    """Drop entries of ``x`` at random and scale the survivors, so that the expectation stays ``x``.

    Args:
        x: floating-point tensor of any shape.
        p: the probability of dropping, 0 ≤ p ≤ 1.
        training: False returns the values of ``x``.
        generator: source of the mask; None is PyTorch's global one.

    Returns:
        Tensor of the shape and dtype of ``x``.

    Raises:
        ValueError: ``p`` is not a probability.
    """
    ### BEGIN SOLUTION
    if not 0 <= p <= 1:
        raise ValueError(f"p must be a probability, not {p}")
    if not training:
        return x
    return x * dropout_mask(x.shape, p, generator=generator, dtype=x.dtype, device=x.device)
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-dropout", "locked": true, "points": 20, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("dropout")

# %% [markdown]
# **To think about** (not marked). Dropout keeps the mean of every entry. What does it do to its *variance*, and so to
# the statistics that a batch normalisation behind it collects in training? Are they still right in evaluation?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 3. Dropout as a module
#
# *Goal: a layer that knows whether it is training · ★☆☆ · 15 minutes · 12 points*
#
# Nobody wants to hand `training` through every layer by hand. An `nn.Module` carries a flag, `self.training`, and
# `model.train()` and `model.eval()` set it for the model and everything in it. Your layer only has to *look* at the
# flag in each call, and must be reachable as a submodule. That's all the machinery there is, and forgetting
# `model.eval()` before measuring is the most common dropout bug of all.
#
# **Specification** · `class Dropout(nn.Module)` with `__init__(p=0.5, generator=None)` and `forward(x)`
#
# * `forward` does what `dropout` does, in training or evaluation as `self.training` says at that moment.
# * The attribute `.p` holds the probability; a new value set by `layer.p = 0.9` counts from the next call on.
# * It has no parameters, no buffers, and an empty `state_dict()`: weights saved with dropout can be loaded without it.
# * `generator` is kept and used in every training call: the masks go on as it advances. `copy.deepcopy` of a layer made
#   without a generator gives a layer with the same `p` and with a training flag of its own.
# * `ValueError` for a bad `p`, when the layer is made.


# %% nbgrader={"grade": false, "grade_id": "module", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="module"
class Dropout(nn.Module):
    """Dropout in training, nothing in evaluation.

    Attributes:
        p: the probability of dropping.
    """

    def __init__(self, p: float = 0.5, generator: torch.Generator | None = None) -> None:
        """Keep the probability and the source of the masks (None is PyTorch's global generator)."""
        ### BEGIN SOLUTION
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p must be a probability, not {p}")
        self.p = p
        self.generator = generator
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        """Apply dropout to ``x`` as the training flag says."""
        ### BEGIN SOLUTION
        return dropout(x, self.p, self.training, self.generator)
        ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-module", "locked": true, "points": 12, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("module")

# %% [markdown]
# **To think about** (not marked). A classmate keeps the layers of a model in a plain Python list, `self.layers =
# [...]`. The model trains, yet its test results differ from run to run, although `model.eval()` is called. Why?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 4. The older convention
#
# *Goal: scale in evaluation instead, and get rid of the scaling · ★★☆ · 25 minutes · 15 points*
#
# The paper of 2014 left the survivors as they are and scaled in *evaluation*. With $b_i = 0$ with probability $p$ and
# $b_i = 1$ otherwise:
#
# $$
# y_i = b_i\, x_i \quad\text{in training},
# \qquad
# y_i = (1-p)\, x_i \quad\text{in evaluation}.
# $$
#
# Again evaluation gives the mean over the masks. (What you wrote above is called *inverted* dropout when somebody needs
# to tell them apart.) Weights trained in one convention are wrong in the other by the factor $1-p$. To move an old
# network to today's code, the factor is put into the **linear layer behind** the dropout:
#
# $$
# W\bigl((1-p)\,x\bigr) + b = \bigl((1-p)\,W\bigr)\,x + b .
# $$
#
# Only the weight is scaled. **The bias isn't**: it was never dropped. And mind what is averaged: the evaluated network
# equals the mean over all masks *exactly* only where everything behind the dropout is linear. With a nonlinearity
# behind it, $\mathbb E[f(y)] \ne f(\mathbb E[y])$, in both conventions, and evaluation is an approximation, if a
# remarkably good one.
#
# **Specification** · `class StandardDropout(nn.Module)` with `__init__(p=0.5, generator=None)` and `forward(x)`
#
# * In training each entry is dropped with probability `p`, independently, and otherwise left as it is. In evaluation,
#   `x` is multiplied by $1-p$, and no random number is drawn.
# * Everything else as in `Dropout`: dtypes, gradient, `.p`, `generator`, empty `state_dict()`, `ValueError`.
#
# **Specification** · `fold_standard_dropout(linear, p) -> nn.Linear`
#
# * `linear`: the `nn.Linear` that follows a `StandardDropout(p)`, with or without bias. Returns a **new** `nn.Linear`
#   that gives without the dropout what evaluation gave with it: its weight is $1-p$ times the old one, its bias the
#   same.
# * `linear` stays as it was, and the new layer shares no memory with it. Weight and bias are parameters that can be
#   trained, of the old dtype. `ValueError` for a bad `p`.
# * It draws no random numbers. Careful: `nn.Linear(…)` draws its first weights from the *global* generator, even if
#   they are overwritten at once.


# %% nbgrader={"grade": false, "grade_id": "standard", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="standard"
class StandardDropout(nn.Module):
    """Dropout in the convention of 2014: nothing is scaled in training, everything in evaluation.

    Attributes:
        p: the probability of dropping.
    """

    def __init__(self, p: float = 0.5, generator: torch.Generator | None = None) -> None:
        """Keep the probability and the source of the masks (None is PyTorch's global generator)."""
        ### BEGIN SOLUTION
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p must be a probability, not {p}")
        self.p = p
        self.generator = generator
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        """Drop entries of ``x`` in training, multiply it by 1 − p in evaluation."""
        ### BEGIN SOLUTION
        if not self.training:
            return x * (1 - self.p)
        keep = torch.empty(x.shape, dtype=x.dtype, device=x.device).bernoulli_(1 - self.p, generator=self.generator)
        return x * keep
        ### END SOLUTION


def fold_standard_dropout(linear: nn.Linear, p: float) -> nn.Linear:
    """Put the factor 1 − p of a dropout in front of ``linear`` into a copy of it.

    Args:
        linear: the layer behind the dropout.
        p: the probability of dropping, 0 ≤ p ≤ 1.

    Returns:
        A new layer with the weight scaled and the bias as it was.

    Raises:
        ValueError: ``p`` is not a probability.
    """
    ### BEGIN SOLUTION
    if not 0 <= p <= 1:
        raise ValueError(f"p must be a probability, not {p}")
    folded = deepcopy(linear)
    with torch.no_grad():
        folded.weight.mul_(1 - p)
    return folded
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-standard", "locked": true, "points": 15, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("standard")

# %% [markdown]
# **See it.** One input, 4000 masks, $p$ from 0 to 0.9. On the left a linear layer behind the dropout: the mean over the
# masks (dots) lies on the line that evaluation gives, up to the noise of 4000 draws. On the right a ReLU follows, and up
# to $p$ = 0.7 the dots lie well above the line: evaluation is exactly zero where the mean input of the ReLU is negative,
# but some masks push it above zero, and the others can't make up for that. At $p$ = 0.8 nearly all masks give a
# positive input, the ReLU does nothing, and dots and line agree again.

# %% tags=["see"]
generator = torch.Generator().manual_seed(1)
x = torch.randn(1, 8, generator=generator)
layer = nn.Linear(8, 1)
with torch.no_grad():
    layer.weight.copy_(torch.randn(1, 8, generator=generator))
    layer.bias.copy_(-0.7 * (layer.weight * x).sum(1))

figure, panels = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
rates = [step / 10 for step in range(10)]
for axes, behind, title in zip(panels, (nn.Identity(), nn.ReLU()), ("linear", "linear, then ReLU"), strict=True):
    noisy = [StandardDropout(p, generator) for p in rates]
    with torch.no_grad():
        means = [behind(layer(drop(x.expand(4000, 8)))).mean() for drop in noisy]
        evaluated = [behind(fold_standard_dropout(layer, p)(x)).item() for p in rates]
    axes.plot(rates, evaluated, label="evaluation")
    axes.plot(rates, means, "o", label="mean over 4000 masks")
    axes.set_xlabel("p")
    axes.set_title(title, fontsize=10)
    axes.legend()
plt.show()

# %% [markdown]
# **To think about** (not marked). Why did the convention change? Think of who has to know about dropout when a
# trained network is put to use, and of what happens when $p$ changes during training.

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 5. Dropping whole channels
#
# *Goal: noise that neighbouring pixels can't undo · ★☆☆ · 10 minutes · 8 points*
#
# In a feature map neighbouring pixels carry nearly the same information. Drop single pixels, and the next convolution
# reads the missing value off the neighbours. So for images a whole **channel** is dropped, one coin for each sample
# and channel:
#
# $$
# y_{nchw} = m_{nc}\, x_{nchw},
# \qquad
# m_{nc} \in \bigl\{0, \tfrac1{1-p}\bigr\} \text{ independent over } n \text{ and } c.
# $$
#
# **Specification** · `dropout2d(x, p=0.5, training=True, generator=None) -> Tensor`
#
# * `x`: `(N, C, H, W)`, floating point; another number of dimensions raises `ValueError`.
# * Each of the $N \cdot C$ channels is dropped as a whole with probability `p`, independently of all others, or
#   multiplied by $\frac1{1-p}$ as a whole. Everything else as in `dropout`.
# * At most 16 PyTorch operations, and on the clock at most six times as long as our solution.


# %% nbgrader={"grade": false, "grade_id": "dropout2d", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="dropout2d"
def dropout2d(x: Tensor, p: float = 0.5, training: bool = True, generator: torch.Generator | None = None) -> Tensor:
    """Drop whole channels of ``x`` at random and scale the others.

    Args:
        x: (N, C, H, W).
        p: the probability of dropping a channel, 0 ≤ p ≤ 1.
        training: False returns the values of ``x``.
        generator: source of the mask; None is PyTorch's global one.

    Returns:
        Tensor of the shape and dtype of ``x``.

    Raises:
        ValueError: ``p`` is not a probability, or ``x`` has not four dimensions.
    """
    ### BEGIN SOLUTION
    if x.ndim != 4:
        raise ValueError(f"x must be (N, C, H, W), not {tuple(x.shape)}")
    return x * dropout(x.new_ones(*x.shape[:2], 1, 1), p, training, generator)
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-dropout2d", "locked": true, "points": 8, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("dropout2d")

# %% [markdown]
# **To think about** (not marked). For a sequence $(N, L, D)$ of word vectors, what could one drop as a whole, and what
# would each choice teach the network to do without?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 6. A network with dropout
#
# *Goal: the right noise in the right places · ★★☆ · 20 minutes · 12 points*
#
# A multilayer perceptron with hidden widths $h_1, \dots, h_k$ and one probability $p_j$ for each of them:
#
# $$
# a_0 = x, \qquad
# a_j = \operatorname{dropout}_{p_j}\bigl(\operatorname{ReLU}(W_j\, a_{j-1} + b_j)\bigr), \quad j = 1, \dots, k, \qquad
# \text{output} = W_{k+1}\, a_k + b_{k+1}.
# $$
#
# Dropout comes **after each hidden activation**. Not on the input, and never on the output: a logit that is set to zero
# in half of all steps is no prediction.
#
# **Specification** · `class DropoutMLP(nn.Module)` with `__init__(d_in, hidden, d_out, p)` and `forward(x)`
#
# * `hidden`: a sequence of $k \ge 0$ widths; `p`: a sequence of $k$ probabilities, one for each hidden layer, in the
#   same order. Different lengths raise `ValueError`, and so does a bad probability.
# * `forward`: `(n, d_in)` to `(n, d_out)`, as above. Without hidden layers it is one linear layer.
# * Its parameters are those of $k+1$ `nn.Linear` layers, made in the order of the data with PyTorch's usual
#   initialisation, so that `parameters()` gives $W_1, b_1, W_2, b_2, \dots$
# * Its dropout layers are $k$ modules of your class `Dropout`, in the order of the data among `modules()`. They use the
#   global generator.


# %% nbgrader={"grade": false, "grade_id": "mlp", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="mlp"
class DropoutMLP(nn.Module):
    """A multilayer perceptron with ReLU and dropout after each hidden layer."""

    def __init__(self, d_in: int, hidden: Sequence[int], d_out: int, p: Sequence[float]) -> None:
        """Make the layers.

        Args:
            d_in: features of the input.
            hidden: widths of the hidden layers.
            d_out: features of the output.
            p: probabilities of dropping, one for each hidden layer.

        Raises:
            ValueError: ``p`` and ``hidden`` differ in length, or a p is not a probability.
        """
        ### BEGIN SOLUTION
        super().__init__()
        layers: list[nn.Module] = []
        for width, rate in zip(hidden, p, strict=True):
            layers += [nn.Linear(d_in, width), nn.ReLU(), Dropout(rate)]
            d_in = width
        self.layers = nn.Sequential(*layers, nn.Linear(d_in, d_out))
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, d_in) to (n, d_out)."""
        ### BEGIN SOLUTION
        return self.layers(x)
        ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-mlp", "locked": true, "points": 12, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("mlp")

# %% [markdown]
# **To think about** (not marked). Does it matter whether dropout comes before or after a ReLU? And before or after a
# sigmoid?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 7. Uncertainty by dropout
#
# *Goal: one network as an ensemble of thousands · ★★★ · 30 minutes · 12 points*
#
# Leave the dropout on when predicting. Every call then asks another thinned network, and where the data has
# taught them all the same, they agree; far from the data they don't. With $T$ calls $f_1(x), \dots, f_T(x)$:
#
# $$
# \bar f(x) = \frac1T \sum_{t=1}^{T} f_t(x),
# \qquad
# s(x) = \sqrt{\frac1T \sum_{t=1}^{T} \bigl(f_t(x) - \bar f(x)\bigr)^2}\,.
# $$
#
# This is *Monte Carlo dropout*. It shows the uncertainty *about the network*, not the noise in the data, and it is a
# cheap approximation rather than a calibrated error bar.
#
# The trap: `model.train()` would switch the dropout on, and everything else with it. Batch normalisation in training
# mode normalises with the batch at hand, and *changes its running statistics* with each call: predicting would alter
# the model. Only the dropout layers may be in training mode, and afterwards nobody should be able to tell
# that you were there.
#
# **Specification** · `mc_dropout_predict(model, x, n_samples) -> (mean, std)`
#
# * Calls `model(x)`, with `x` as it is, exactly `n_samples` times ($\ge 1$), and returns $\bar f$ and $s$ (with the
#   divisor $T$, so that one sample has $s = 0$), of the shape and dtype of the model's output.
# * A *dropout layer* is a module among `model.modules()` that is an instance (`isinstance`) of your class `Dropout` or
#   of your class `StandardDropout`; subclasses count. During the calls, `module.training` is `True` for the dropout
#   layers and `False` for every other module, containers and the model itself included (unless that is a dropout
#   layer).
# * Afterwards every module's `training` is what it was before, **also when a call raises**: the exception is
#   passed on. Parameters and buffers are as before.
# * No graph: autograd is off during the calls, the results require no grad, and the caller's grad mode is as before.
#   It seeds nothing.


# %% nbgrader={"grade": false, "grade_id": "mc", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="mc"
def mc_dropout_predict(model: nn.Module, x: Tensor, n_samples: int) -> tuple[Tensor, Tensor]:
    """Predict with dropout switched on, and nothing else, several times.

    Args:
        model: any model; its dropout layers are instances of Dropout and StandardDropout.
        x: its input.
        n_samples: the number of calls, at least 1.

    Returns:
        (mean, std) over the calls, each of the shape of the output.
    """
    ### BEGIN SOLUTION
    flags = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in flags:
            module.training = isinstance(module, (Dropout, StandardDropout))
        with torch.no_grad():
            samples = torch.stack([model(x) for _ in range(n_samples)])
    finally:
        for module, flag in flags:
            module.training = flag
    return samples.mean(0), samples.std(0, correction=0)
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-mc", "locked": true, "points": 12, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("mc")

# %% [markdown]
# **See it.** A small network has learnt $\sin 2x$ (dashed) from 80 noisy points, none of them between −0.7 and 0.7 or
# outside of ±2. The line is the mean of 200 predictions, the band twice their standard deviation to either side. Where
# there are points the band is narrow. Outside it opens like a fan, and still not far enough: the true curve soon leaves
# it. Over the gap in the middle it is hardly wider than beside it. An uncertainty is only as honest as the model.

# %% tags=["see"]
torch.manual_seed(3)
points, values = wave(80, torch.Generator().manual_seed(4))
model = DropoutMLP(1, (64, 64), 1, (0.1, 0.1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for _ in range(500):
    loss = (model(points) - values).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

grid = torch.linspace(-4, 4, 161)[:, None]
mean, std = mc_dropout_predict(model, grid, 200)
figure, axes = plt.subplots(figsize=(8, 3.2), layout="constrained")
low, high = (mean - 2 * std).squeeze(1), (mean + 2 * std).squeeze(1)
axes.fill_between(grid.squeeze(1), low, high, alpha=0.3, label="± 2 standard deviations")
axes.plot(grid, mean, label="mean of 200 predictions")
axes.plot(grid, torch.sin(2 * grid), "--", color="gray", label="sin 2x")
axes.plot(points, values, "k.", markersize=4, label="training points")
axes.set_xlabel("x")
axes.legend(loc="upper right", fontsize=8)
plt.show()

# %% [markdown]
# **To think about** (not marked). What happens to the band if you train with ten times as much data? And if you predict
# with ten times as many samples? Which of the two makes the model surer?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 8. Find the bug
#
# *Goal: a test for something random · ★★★ · 30 minutes · 4 points*
#
# Here is an implementation of `dropout` as many people write it the first time. On a single vector it's perfect. Its
# mean is right for every input, its gradient is right, and so is evaluation:
#
# ```python
# def rows_dropout(x, p=0.5, training=True, generator=None):
#     if not training:
#         return x
#     drop = torch.rand(len(x), generator=generator) < p
#     mask = torch.where(drop, 0.0, 1 / (1 - p)) if p < 1 else torch.zeros(len(x))
#     return x * mask.to(x.dtype).reshape(-1, *[1] * (x.ndim - 1))
# ```
#
# For a batch it flips one coin a *row*: a whole sample is dropped or kept. You see it at once when you print a
# mask, and never if you only look at averages.
#
# Write a function that tells right implementations of exercise 2 from wrong ones. It is marked with a pool that holds
# several right implementations, in different styles, and bugs of these kinds:
#
# * survivors are not scaled, or with a wrong factor; `p` is taken as the probability of *keeping*;
# * evaluation scales, or drops;
# * whole rows or whole columns of a matrix are dropped together;
# * always the same number of entries is dropped, instead of one coin for each;
# * the generator that is handed in is ignored, or seeded anew, so that every call gives the same mask;
# * the gradient is not that of the formula: cut off, or passed through without the mask;
# * `p=1` gives `nan`, in the value or in the gradient; `float64` comes back as `float32`.
#
# Each wrong one has just one of these bugs. It shows it for matrices of any size from 20 × 20 up, and for every $p$
# strictly between 0 and 1, with two exceptions: some factors happen to be right at $p = 0.5$, and `nan` comes at
# $p = 1$ only.
#
# **Specification** · `check_dropout(fn) -> None`
#
# * `fn`: an implementation, with the signature `fn(x, p=0.5, training=True, generator=None)`. Returns `None` if it is
#   right. Raises `AssertionError` if it is wrong (`assert` does that); any other exception doesn't count as a find.
# * Hand `fn` only what the specification of exercise 2 allows: a probability from 0 to 1, a floating-point `x`. *Always
#   hand it a generator*, because for marking the implementations run in another process, whose global generator you
#   can't see or seed. For the same reason you can't look for changed arguments or a changed global state; no bug of the
#   pool is of that kind.
# * Right implementations draw different masks from the same seed, and differ in rounding: compare with
#   `torch.allclose`, and judge frequencies by their standard deviations, as in the question of exercise 1. Six of them
#   are a good bound: you'd be wrong about once in half a billion.
# * `fn` may be called at most 200 times, with at most a million numbers a call. The rules of this notebook hold for
#   your function too: it leaves the global generator alone (so make inputs with `torch.ones`, or with a generator of
#   your own).


# %% nbgrader={"grade": false, "grade_id": "bug", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="bug"
def check_dropout(fn: Callable[..., Tensor]) -> None:
    """Tell whether ``fn`` is a right implementation of ``dropout``.

    Args:
        fn: called as fn(x, p, training, generator).

    Raises:
        AssertionError: it is wrong.
    """
    ### BEGIN SOLUTION
    n = 40
    x = torch.ones(n, n, dtype=torch.float64, requires_grad=True)
    for p in (0.3, 1.0):
        generator = torch.Generator().manual_seed(5)
        samples = [fn(x, p, True, generator) for _ in range(5)]
        y = samples[0]
        kept = (y != 0).double()
        variance = p * (1 - p)
        assert y.dtype == x.dtype and y.requires_grad
        assert torch.allclose(y * (1 - p), kept)
        assert (kept.mean() - (1 - p)).abs() <= 6 * (variance / n**2) ** 0.5
        # The share of a line of n coins has the variance p(1 − p) / n; with one coin for the line it is n times that.
        assert max(kept.mean(0).var(), kept.mean(1).var()) * n <= 4 * variance
        # The number of dropped entries varies; with the same mask in each call it does not either.
        assert p == 1 or len({int(sample.count_nonzero()) for sample in samples}) > 1
        assert torch.equal(y, fn(x, p, True, torch.Generator().manual_seed(5)))
        (gradient,) = torch.autograd.grad(y.sum(), x)
        assert torch.allclose(gradient, y)
        assert torch.allclose(fn(x, p, False, generator), x)
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-bug", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("bug")

# %% [markdown]
# **To think about** (not marked). Your check passes a right implementation with overwhelming probability, and it is the
# same every time because its seeds are fixed. Is there a wrong implementation that no check of this kind can find?

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
