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
# # Adversarial attacks and defences
#
# A network reads handwritten digits and is right 95 times out of 100. Now change each pixel by a tenth of its range, in
# a direction that costs one backward pass to find, and it is right about half of the time; with twice that change,
# almost never. A person still reads the changed digits without trouble, and random changes of the same size hardly
# matter to the network either.
#
# Training asks how the *weights* should move to lower the loss. An attack asks the same question with the roles
# swapped: the weights stay, the *pixels* move, and the loss goes up. With the loss $L$, a model $f_\theta$, an image
# $x$ with label $y$, and a budget $\varepsilon$ for every single pixel,
#
# $$
# \underbrace{x^\ast}_{(n,\,c,\,h,\,w)}
# = \arg\max_{\lVert x' - x \rVert_\infty \le \varepsilon} L\bigl(f_\theta(x'),\, y\bigr).
# $$
#
# The *fast gradient sign method* (FGSM) answers with one step, *projected gradient descent* (PGD) with many. Both are
# **white-box** attacks: the attacker knows the parameters $\theta$, not just the architecture. Then we take that
# knowledge away (a *black box*, of which one sees the outputs only) and find that it helps less than one would hope;
# and we defend: with training on attacked images, which works, and with a blur, which works until the attacker hears of
# it.
#
# **What you will be able to do**: differentiate with respect to an input without leaving a trace in the model; write
# FGSM and PGD, targeted and not; measure robust accuracy honestly; steal a model through its outputs; train a robust
# one; and tell a defence from a nuisance.

# %% [markdown]
# ## How this notebook works
#
# | exercise | you write | difficulty | minutes | points |
# | --- | --- | --- | --- | --- |
# | 1 | `input_gradient` | ★★☆ | 30 | 13 |
# | 2 | `fgsm` | ★★☆ | 30 | 21 |
# | 3 | `pgd` | ★★★ | 40 | 21 |
# | 4 | `Normalize` | ★☆☆ | 10 | 6 |
# | 5 | `robust_accuracy` | ★☆☆ | 15 | 8 |
# | 6 | `train_surrogate` | ★★★ | 35 | 12 |
# | 7 | `adversarial_training_step` | ★★☆ | 20 | 9 |
# | 8 | `BlurDefense` | ★☆☆ | 15 | 6 |
# | 9 | `poison` (bonus) | ★★☆ | 20 | +5 |
# | 10 | `check_fgsm` | ★★☆ | 20 | 4 |
#
# Each exercise ends with a cell that runs the *public* checks on your code: ✔ it holds, ✘ it does not (with a hint),
# ○ not attempted yet. They are worth about 30 of the 100 points. The other points come from checks that you don't see:
# other models, shapes and dtypes, side effects, cost. Everything they ask for is written in the specification of the
# exercise. The first check of an exercise is its *gate*: while it fails, the other checks of the exercise do not
# count. Plots and public checks are not run when your notebook is marked.
#
# **Rules for every function**
#
# * It leaves its arguments alone: tensors (values, `requires_grad`, `.grad`) and, unless it is there to train it, the
#   model as well: parameters, their `.grad` and `requires_grad`, buffers, and the `training` flag of the model and of
#   each submodule. PyTorch's global state stays as it was (random number generator, grad mode, default dtype), unless
#   the specification says that a function may draw from the global generator.
# * What comes back shares no memory with the arguments, and where it is a tensor of images it has the shape and dtype
#   of the images that came in. It takes tensors that are not contiguous.
# * There is no loop over samples: a batch goes through the model as a batch.
# * You may call functions of earlier exercises, or not, as you like.
#
# **Models** are `nn.Module`s that map a batch $(n, \dots)$ to logits $(n, q)$. A label is `int64` and starts at 0.
#
# **Not allowed**: third-party attack libraries (foolbox, torchattacks, cleverhans and the like), and assigning to
# `.data` (`x.data = …`, `x.data += …`), which changes a tensor behind autograd's back. (`model.to(…)`, `.double()` and
# their relatives assign to the `.data` of parameters, too; nothing here needs them.) Use `detach`, `clone` and
# `torch.no_grad` instead. Everything else of PyTorch is yours.
#
# **Conventions of the course.** $\operatorname{sign}(0) = 0$ and $\mathrm{ReLU}'(0) = 0$; Dropout's $p$ is the
# probability of *dropping*; "convolution" is cross-correlation; logarithms are natural. Pixels lie between 0 and 1, and
# $\varepsilon$ is measured in pixels.
#
# `given.py`, beside this notebook, holds a small convolutional network, the digits, and an ordinary training loop.
# Have a look at it.

# %%
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from given import Oracle, SmallCNN, accuracy, digits, doubled, linear_model, stamp, suspect_case, train

# %% [markdown]
# ## 1. The gradient of the input
#
# *Goal: ask a model what it looks at, and leave no fingerprints · ★★☆ · 30 minutes · 13 points*
#
# $$
# \underbrace{g}_{(n,\,\dots)} = \nabla_{x} \, L\bigl(f_\theta(x),\, y\bigr)
# $$
#
# has one number for each pixel: how fast the loss grows when that pixel does. For a linear model with the mean
# cross-entropy it can be written down. With logits $o_i = W x_i + b$,
#
# $$
# g_i = \frac1n \, W^\top (\hat p_i - e_{y_i}),
# \qquad \hat p_i = \operatorname{softmax}(o_i),
# \qquad e_{y_i} \text{ the one-hot label}.
# $$
#
# The formula is the easy part. The model belongs to somebody else, perhaps to somebody in the middle of training it:
#
# * `backward()` would also add to the `.grad` of every *parameter*, and the next optimiser step would use it.
#   `torch.autograd.grad` returns the gradients that you ask for, and touches nothing.
# * In training mode, dropout would give another gradient each time, and batch normalisation would mix the samples and
#   move its running statistics. So the gradient is taken in **evaluation mode**. Afterwards, each submodule must have
#   the mode that it had *before*: somebody who fine-tunes keeps some layers in `eval()` on purpose, and a `train()` at
#   the end would wake them up. The modes must come back even if the model raises an exception (`try … finally`).
# * The caller may be inside `torch.no_grad()`, and the parameters may be frozen. Neither has anything to do with your
#   gradient: `torch.enable_grad()` switches recording on inside a block.
#
# **Specification** · `input_gradient(model, x, y, loss_fn=F.cross_entropy) -> Tensor`
#
# * `model`: an `nn.Module`, in any mode or mixture of modes, with or without frozen parameters and old `.grad`s.
#   `x`: floating point, $(n, \dots)$. `loss_fn(model(x), y)` is a scalar.
# * Returns $\nabla_x$ of that scalar: shape and dtype of `x`, with no graph attached (`requires_grad` is `False`).
# * The model is in eval mode meanwhile. All modes are restored, also when the model or the loss raises an exception,
#   which is passed on.
# * Works inside `torch.no_grad()`, with frozen parameters, and for an `x` that requires grad or is part of a graph.
# * **Cost**: one call of the model, with all $n$ samples; at most 3.3 times the floating-point operations of a
#   forward pass; a number of PyTorch operations that does not grow with $n$. On the clock: at most 20 times as long as
#   our solution.
#
# This slow loop defines the result for a vector `x`, in the limit of a small `h`:
#
# ```python
# for j in range(len(x)):
#     step = torch.zeros_like(x)
#     step[j] = h
#     g[j] = (loss(x + step) - loss(x - step)) / (2 * h)
# ```


# %% nbgrader={"grade": false, "grade_id": "gradient", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="gradient"
def input_gradient(
    model: nn.Module, x: Tensor, y: Tensor, loss_fn: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy
) -> Tensor:
    """Differentiate loss_fn(model(x), y) with respect to x, with the model in eval mode.

    Args:
        model: maps (n, ...) to logits (n, q); it is left as it was.
        x: (n, ...), floating point.
        y: (n,) int64 labels, or whatever ``loss_fn`` takes.
        loss_fn: maps (logits, y) to a scalar.

    Returns:
        Tensor of the shape and dtype of ``x``, without a graph.
    """
    ### BEGIN SOLUTION
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            return torch.autograd.grad(loss_fn(model(leaf), y), leaf)[0]
    finally:
        for module, training in modes:
            module.training = training
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-gradient", "locked": true, "points": 13, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("gradient")

# %% [markdown]
# **To think about** (not marked). The loss is a mean over the batch, so each sample's gradient is divided by $n$. Does
# this matter for an attack that uses only the signs? And where could it matter in float16?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 2. The fast gradient sign method
#
# *Goal: the strongest step that a budget per pixel buys, if the loss were linear · ★★☆ · 30 minutes · 21 points*
#
# Near $x$, the loss is almost linear: $L(x + \delta) \approx L(x) + \sum_j g_j \delta_j$. Each pixel has a budget of
# its own, $|\delta_j| \le \varepsilon$, so the sum is largest when every pixel spends *all* of it in the direction in
# which it pays:
#
# $$
# \delta = \varepsilon \operatorname{sign}(g),
# \qquad
# \sum_j g_j \delta_j = \varepsilon \lVert g \rVert_1 .
# $$
#
# How large the gradient is does not matter, as long as it isn't zero: a model that is sure of itself has tiny
# gradients, and their signs are as good as any. And the gain $\varepsilon \lVert g \rVert_1$ *grows with the number of
# pixels*: many invisible changes add up. For a model with two classes and linear logits nothing is approximate, and
# FGSM is the exact optimum.
#
# A **targeted** attack wants a particular wrong answer $t$. It is given $t$ in place of the label and goes *down* in
# the loss: $\delta = -\varepsilon \operatorname{sign}\bigl(\nabla_x L(f_\theta(x), t)\bigr)$.
#
# Last, the result must be an image again: it is clipped to the range of valid pixels.
#
# **Specification** · `fgsm(model, x, y, eps, *, targeted=False, clip=(0.0, 1.0), loss_fn=F.cross_entropy) -> Tensor`
#
# * `model`, `x`, `y`, `loss_fn`: as in exercise 1 (and the same promises about modes, `no_grad` and the model's state).
#   If `targeted`, `y` holds the classes that the attacker wants.
# * `eps`: a non-negative float, or a tensor of non-negative numbers that broadcasts to the shape of `x` and has its
#   dtype (one budget for each channel, sample or pixel). `eps = 0` gives a copy of `x`. A negative `eps`, or one with a
#   negative entry: `ValueError`.
# * `clip`: the range `(low, high)` of valid pixels, in which `x` lies; `None` for no clipping.
# * A pixel whose gradient is 0 does not move; any other moves by the full `eps`, however small its gradient (unless
#   clipping stops it).
# * Returns a new tensor of the shape and dtype of `x`, with no graph attached. For a model in eval mode, what happens
#   to one sample doesn't depend on the others in its batch.
# * **Cost**: as in exercise 1.


# %% nbgrader={"grade": false, "grade_id": "fgsm", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="fgsm"
def fgsm(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    eps: float | Tensor,
    *,
    targeted: bool = False,
    clip: tuple[float, float] | None = (0.0, 1.0),
    loss_fn: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
) -> Tensor:
    """Attack with one step of the fast gradient sign method.

    Args:
        model: maps (n, ...) to logits (n, q); it is left as it was.
        x: (n, ...), floating point, within ``clip``.
        y: labels to get away from or, if ``targeted``, classes to get to.
        eps: the budget of each pixel; a tensor broadcasts to ``x``.
        targeted: go down in the loss, not up.
        clip: range of valid pixels, or None.
        loss_fn: maps (logits, y) to a scalar.

    Returns:
        Tensor of the shape and dtype of ``x``, without a graph.

    Raises:
        ValueError: ``eps`` is negative somewhere.
    """
    ### BEGIN SOLUTION
    if (torch.as_tensor(eps) < 0).any():
        raise ValueError("eps must not be negative")
    direction = input_gradient(model, x, y, loss_fn).sign()
    adversarial = x.detach() + (-eps if targeted else eps) * direction
    return adversarial if clip is None else adversarial.clamp(*clip)
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-fgsm", "locked": true, "points": 21, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("fgsm")

# %% [markdown]
# **See it.** Three test digits for which the attack succeeds, which is what happens to about four in five. In each row:
# the image; its gradient, red where a brighter pixel raises the loss and blue where a darker one does; the attacked
# image for $\varepsilon = 0.15$; and the same image with random signs in place of the gradient's. The titles tell what
# the network reads. The two changed images look equally noisy, and only the attacked one is misread.

# %% tags=["see"]
import matplotlib.pyplot as plt

train_x, train_y, test_x, test_y = digits()
torch.manual_seed(0)
victim = train(SmallCNN(), train_x, train_y, epochs=4)

noise = torch.randint(0, 2, test_x.shape, generator=torch.Generator().manual_seed(0)) * 2.0 - 1
pictures_of = {
    "image": test_x,
    "gradient": input_gradient(victim, test_x, test_y),
    "attacked": fgsm(victim, test_x, test_y, 0.15),
    "random": (test_x + 0.15 * noise).clamp(0, 1),
}
reads = {name: victim(pictures).argmax(1) for name, pictures in pictures_of.items()}
fooled = (reads["attacked"] != test_y) & (reads["random"] == test_y) & (reads["image"] == test_y)
figure, grid = plt.subplots(3, 4, figsize=(7, 5.5), layout="constrained")
for column, (name, pictures) in enumerate(pictures_of.items()):
    for axes, number in zip(grid[:, column], fooled.nonzero().flatten().tolist(), strict=False):
        picture = pictures[number, 0]
        axes.axis("off")
        if name == "gradient":
            limit = picture.abs().max()
            axes.imshow(picture.numpy(), cmap="coolwarm", vmin=-limit, vmax=limit)
            axes.set_title(name, fontsize=9)
        else:
            axes.imshow(picture.numpy(), cmap="gray_r", vmin=0, vmax=1)
            axes.set_title(f"{name}: {reads[name][number]}", fontsize=9)
plt.show()

# %% [markdown]
# **To think about** (not marked). The gradient says how the loss changes with *one* pixel while the others stay. FGSM
# moves all of them at once. For which models is that no problem at all, and what goes wrong for the others?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 3. Projected gradient descent
#
# *Goal: many small steps, none of them out of bounds · ★★★ · 40 minutes · 21 points*
#
# The loss of a deep network is not linear over the whole budget. So take small steps of size $\alpha$, look at the
# gradient *anew after each*, and whenever a pixel has gone too far, put it back on the edge of its budget:
#
# $$
# x^{(k+1)} = \Pi\Bigl(x^{(k)} + \alpha \operatorname{sign} \nabla_{x} L\bigl(f_\theta(x^{(k)}),\, y\bigr)\Bigr),
# \qquad
# \Pi(z)_j = \min\bigl(\max(z_j,\; x_j - \varepsilon,\; \text{low}),\; x_j + \varepsilon,\; \text{high}\bigr).
# $$
#
# The projection $\Pi$ is onto the ball around the **original** $x$, cut to valid pixels. A ball around the current
# point would let the image drift $k \alpha$ away, wherever it likes. (The name says *descent* because people who defend
# minimise $-L$. With `targeted`, the sign of the step turns round, as in FGSM.)
#
# From $x$ itself, PGD always takes the same path. A **random start**, uniform in the ball, makes several attempts
# differ, and gets away from points where the gradient happens to be useless.
#
# Each step needs one graph. Keep none of them: an attack of 100 steps should need no more memory than one of 2.
#
# **Specification** · `pgd(model, x, y, eps, alpha, steps, *, targeted=False, random_start=False, clip=(0.0, 1.0),
# generator=None, loss_fn=F.cross_entropy) -> Tensor`
#
# * `model`, `x`, `y`, `eps`, `targeted`, `clip`, `loss_fn`, and what is returned: as in exercise 2. `alpha`: a float;
#   `steps`: an int. A negative `eps` (or an entry of it), `alpha` or `steps`: `ValueError`.
# * `random_start`: start from $x + u$, with $u$ uniform between $-\varepsilon$ and $+\varepsilon$, independently for
#   each pixel, and clipped to the valid range. It is drawn from `generator` (`None`: PyTorch's global generator).
#   Without `random_start` no randomness is used; with a generator given, the global one is not touched.
# * With `steps = 0` the start itself is returned: a copy of `x`, or the random start.
# * With `steps = 1`, $\alpha = \varepsilon$ and no random start, PGD is FGSM.
# * **Cost**: at most `steps + 1` calls of the model, each with all $n$ samples. 16 steps need at most 1.3 times the
#   memory of 2 steps; read from outside, at most four times the memory of our solution.


# %% nbgrader={"grade": false, "grade_id": "pgd", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="pgd"
def pgd(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    eps: float | Tensor,
    alpha: float,
    steps: int,
    *,
    targeted: bool = False,
    random_start: bool = False,
    clip: tuple[float, float] | None = (0.0, 1.0),
    generator: torch.Generator | None = None,
    loss_fn: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
) -> Tensor:
    """Attack with projected gradient descent in the L∞ ball around x.

    Args:
        model: maps (n, ...) to logits (n, q); it is left as it was.
        x: (n, ...), floating point, within ``clip``.
        y: labels to get away from or, if ``targeted``, classes to get to.
        eps: radius of the ball; a tensor broadcasts to ``x``.
        alpha: size of a step.
        steps: number of steps.
        targeted: go down in the loss, not up.
        random_start: start from a uniformly drawn point of the ball.
        clip: range of valid pixels, or None.
        generator: source of the random start; None is PyTorch's global one.
        loss_fn: maps (logits, y) to a scalar.

    Returns:
        Tensor of the shape and dtype of ``x``, without a graph.

    Raises:
        ValueError: ``eps``, ``alpha`` or ``steps`` is negative.
    """
    ### BEGIN SOLUTION
    if min(alpha, steps) < 0 or (torch.as_tensor(eps) < 0).any():
        raise ValueError("eps, alpha and steps must not be negative")
    start = x.detach()
    low, high = start - eps, start + eps
    if clip is not None:
        low, high = low.clamp(min=clip[0]), high.clamp(max=clip[1])
    adversarial = start.clone()
    if random_start:
        unit = torch.rand(x.shape, generator=generator, dtype=x.dtype, device=x.device)
        adversarial = (start + eps * (2 * unit - 1)).clamp(low, high)
    for _ in range(steps):
        direction = input_gradient(model, adversarial, y, loss_fn).sign()
        adversarial = (adversarial + (-alpha if targeted else alpha) * direction).clamp(low, high)
    return adversarial
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-pgd", "locked": true, "points": 21, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("pgd")

# %% [markdown]
# **See it.** The accuracy on 397 test digits against the budget $\varepsilon$, from 0 to 0.2. The dotted line, random
# signs, falls slowly, by a few points: the network hardly minds noise. FGSM drops steeply and is near 0 on the right.
# PGD with ten steps starts out with FGSM and lies below it from about $\varepsilon = 0.1$ on. A curve that does *not*
# reach zero for large $\varepsilon$ would be a sign of a broken attack, not of a robust model.

# %% tags=["see"]
budgets = [0.0, 0.025, 0.05, 0.075, 0.1, 0.125, 0.15, 0.175, 0.2]
curves = {
    "random signs": [accuracy(victim, (test_x + e * noise).clamp(0, 1), test_y) for e in budgets],
    "FGSM": [accuracy(victim, fgsm(victim, test_x, test_y, e), test_y) for e in budgets],
    "PGD, 10 steps": [accuracy(victim, pgd(victim, test_x, test_y, e, e / 4, 10), test_y) for e in budgets],
}
figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
for (name, values), style in zip(curves.items(), [":", "--", "-"], strict=True):
    axes.plot(budgets, values, style, marker=".", label=name)
axes.set_xlabel("ε")
axes.set_ylabel("test accuracy")
axes.set_ylim(0, 1)
axes.legend()
plt.show()

# %% [markdown]
# **To think about** (not marked). With $k$ steps of size $\alpha$, what is the furthest that a pixel can get? Which
# products $k\alpha$ are therefore too small to be an honest test with budget $\varepsilon$?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 4. Normalisation belongs inside the model
#
# *Goal: keep the attack in pixels · ★☆☆ · 10 minutes · 6 points*
#
# Most networks want inputs with mean 0 and standard deviation 1 in each channel:
#
# $$
# \operatorname{Normalize}(x)_{i c h w} = \frac{x_{i c h w} - \mu_c}{\sigma_c} .
# $$
#
# If that happens in the data loader, the attack sees normalised images: a budget $\varepsilon$ then means $\varepsilon
# \sigma_c$ in pixels, different in each channel, and clipping to $[0, 1]$ cuts real image content off. Put it into the
# model as its first layer, and the chain rule takes care of everything: `nn.Sequential(Normalize(mean, std), network)`
# takes pixels.
#
# $\mu$ and $\sigma$ belong to the model (they must be saved with it, and move with it to another device or dtype), but
# they are not trained. This is what *buffers* are for: `register_buffer`.
#
# **Specification** · `class Normalize(nn.Module)`, `Normalize(mean, std)`
#
# * `mean`, `std`: lists of $c$ floats, or float32 tensors of $c$ numbers; the standard deviations are positive.
# * `.forward(x)`: `(n, c, h, w)` to the same shape; dtype of `x` (which is that of the buffers). Differentiable.
# * The `state_dict()` holds `mean` and `std`, $c$ numbers each in a shape that you choose, and nothing else. There are
#   no parameters. New modules are float32 (PyTorch's default dtype); `.double()` makes them float64.


# %% nbgrader={"grade": false, "grade_id": "normalize", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="normalize"
class Normalize(nn.Module):
    """Subtract a mean and divide by a standard deviation, channel by channel.

    Args:
        mean: one number for each channel.
        std: one positive number for each channel.
    """

    def __init__(self, mean: list[float] | Tensor, std: list[float] | Tensor) -> None:
        """Keep mean and std as buffers."""
        ### BEGIN SOLUTION
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.as_tensor(std).view(-1, 1, 1))
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        """Normalise images (n, c, h, w)."""
        ### BEGIN SOLUTION
        return (x - self.mean) / self.std
        ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-normalize", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("normalize")

# %% [markdown]
# ## 5. Robust accuracy
#
# *Goal: one honest number · ★☆☆ · 15 minutes · 8 points*
#
# The accuracy that remains under an attack $A$,
#
# $$
# \frac1n \sum_{i=1}^{n} \bigl[\arg\max_k f_\theta\bigl(A(x)_i\bigr)_k = y_i\bigr],
# $$
#
# is only an **upper bound** of how robust the model is: a better attack may do worse to it. So a paper that claims
# robustness names the attack, its budget and its number of steps.
#
# Two traps. Averaging the accuracies of the batches counts the samples of a short last batch too much: count right
# answers, and divide once. And an attack needs gradients: under `torch.no_grad()` for the whole function, a
# perfectly good attack fails.
#
# **Specification** · `robust_accuracy(model, x, y, attack=None, batch_size=256) -> float`
#
# * Takes the samples in order, `batch_size` at a time; the last batch may be short. For each batch, `attack(model,
#   x_batch, y_batch)` is called once and gives the images to be classified; with `attack=None` these are the images
#   themselves.
# * Returns the share of all samples whose largest logit is at the label, as a Python `float`.
# * The model is in eval mode throughout, during the attack as well; all modes are restored, also when the attack or
#   the model raises an exception. The attack runs with gradients enabled (if they are enabled around your function).
# * **Cost**: apart from what the attack does, one call of the model for each batch.


# %% nbgrader={"grade": false, "grade_id": "robust", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="robust"
def robust_accuracy(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    attack: Callable[[nn.Module, Tensor, Tensor], Tensor] | None = None,
    batch_size: int = 256,
) -> float:
    """Compute the accuracy of a model on attacked samples.

    Args:
        model: maps (n, ...) to logits (n, q); it is left as it was.
        x: (n, ...) samples.
        y: (n,) int64 labels.
        attack: maps (model, x, y) to attacked samples; None for none.
        batch_size: the number of samples at a time.

    Returns:
        A Python float between 0 and 1.
    """
    ### BEGIN SOLUTION
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    right = 0
    try:
        for images, labels in zip(x.split(batch_size), y.split(batch_size)):
            if attack is not None:
                images = attack(model, images, labels)
            with torch.no_grad():
                right += (model(images).argmax(dim=1) == labels).sum().item()
    finally:
        for module, training in modes:
            module.training = training
    return right / len(x)
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-robust", "locked": true, "points": 8, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("robust")

# %% [markdown]
# **To think about** (not marked). A defence rounds all pixels to 0 or 1 before the network sees them. FGSM does nothing
# to it. Why? Is the model robust now?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 6. Attacking a black box
#
# *Goal: steal a model through its answers · ★★★ · 35 minutes · 12 points*
#
# Somebody offers a classifier as a service. We may send images and read the logits; the parameters are theirs, and
# there are no gradients. But adversarial examples *transfer*: what fools one network often fools another that was
# trained to do the same. So we train a **surrogate** to answer like the victim, attack the surrogate with all the
# gradients we like, and send the result to the victim.
#
# The answers tell more than the winning class: that this 7 looks a little like a 1 is worth knowing. A *temperature* $T
# > 1$ makes these small probabilities count. With victim logits $v$ and surrogate logits $s$, the surrogate minimises
# (*distillation*)
#
# $$
# L = \frac{T^2}{n} \sum_{i=1}^{n} D\bigl(p_i \,\|\, q_i\bigr),
# \qquad p_i = \operatorname{softmax}(v_i / T),
# \quad q_i = \operatorname{softmax}(s_i / T),
# \quad D(p \,\|\, q) = \sum_k p_k \log \frac{p_k}{q_k} .
# $$
#
# The factor $T^2$ makes up for gradients that shrink like $1/T^2$. In PyTorch's `F.kl_div` the *first* argument is
# $\log q$ and the second is $p$, and its `reduction="mean"` divides by $n \cdot q$, not by $n$.
#
# Queries are watched, limited and paid for. Each image is sent **once**, and the answers are kept.
#
# **Specification** ·
# `train_surrogate(victim_fn, surrogate, queries, *, epochs, lr, temperature, generator) -> list[float]`
#
# * `victim_fn`: a function from $(m, \dots)$ to logits $(m, q)$, in one call or several; no more than `len(queries)`
#   samples are sent to it in all. Its outputs are data: no gradient goes back into it.
# * `surrogate`: an `nn.Module`, trained in place: by `torch.optim.Adam` with learning rate `lr` (other options as they
#   come), in training mode. Each epoch visits all queries once in batches of 64 (the last may be short), freshly
#   shuffled with `generator` (a `torch.Generator`, or `None` for PyTorch's global one). Afterwards the surrogate is in
#   eval mode.
# * Returns one float for each epoch: the mean of $L$ over its samples, each batch's $L$ taken *before* its step and
#   weighted by the batch's size.
# * The queries are left alone. With a generator, the global random state is not touched (unless the surrogate itself
#   draws).


# %% nbgrader={"grade": false, "grade_id": "surrogate", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="surrogate"
def train_surrogate(
    victim_fn: Callable[[Tensor], Tensor],
    surrogate: nn.Module,
    queries: Tensor,
    *,
    epochs: int,
    lr: float,
    temperature: float,
    generator: torch.Generator | None,
) -> list[float]:
    """Train a model to answer like a black box.

    Args:
        victim_fn: maps inputs to logits; sees each query at most once.
        surrogate: is trained in place, and left in eval mode.
        queries: (m, ...) inputs.
        epochs: passes over the queries.
        lr: learning rate of Adam.
        temperature: divides both models' logits.
        generator: source of the shuffle.

    Returns:
        The mean distillation loss of each epoch.
    """
    ### BEGIN SOLUTION
    wanted = (victim_fn(queries).detach() / temperature).softmax(dim=1)
    optimizer = torch.optim.Adam(surrogate.parameters(), lr=lr)
    surrogate.train()
    history = []
    for _ in range(epochs):
        total = 0.0
        for chosen in torch.randperm(len(queries), generator=generator).split(64):
            log_q = (surrogate(queries[chosen]) / temperature).log_softmax(dim=1)
            loss = temperature**2 * F.kl_div(log_q, wanted[chosen], reduction="batchmean")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(chosen)
        history.append(total / len(queries))
    surrogate.eval()
    return history
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-surrogate", "locked": true, "points": 12, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("surrogate")

# %% [markdown]
# **Try it.** The victim is hidden in an `Oracle`. The surrogate is another architecture (half as wide). The two numbers
# are the victim's accuracy before, and under FGSM ($\varepsilon = 0.15$) on the *surrogate*.

# %% tags=["see"]
torch.manual_seed(1)
surrogate = SmallCNN(width=4)
train_surrogate(
    Oracle(victim), surrogate, train_x, epochs=8, lr=0.01, temperature=3.0, generator=torch.Generator().manual_seed(2)
)
transferred = fgsm(surrogate, test_x, test_y, 0.15)
print(f"{accuracy(victim, test_x, test_y):.3f} -> {accuracy(victim, transferred, test_y):.3f}")

# %% [markdown]
# **To think about** (not marked). The service stops returning logits and tells the winning class only. What would you
# change? And what if it answers one query in ten with a wrong class, on purpose?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 7. Adversarial training
#
# *Goal: learn from attacks · ★★☆ · 20 minutes · 9 points*
#
# A robust model solves a game: the attacker maximises inside, the trainer minimises outside,
#
# $$
# \min_\theta \; \frac1n \sum_{i=1}^{n} \;
# \max_{\lVert x'_i - x_i \rVert_\infty \le \varepsilon} L\bigl(f_\theta(x'_i),\, y_i\bigr).
# $$
#
# In practice: attack the batch with the model *as it is now*, then take an ordinary training step on the attacked
# batch. Two passes, and they must not get into each other's way. Gradients of the attack must not end up in the update.
# The attack runs in eval mode, so that batch normalisation learns its statistics once, from the images that the step is
# trained on; the training step itself runs in training mode.
#
# **Specification** · `adversarial_training_step(model, optimizer, x, y, eps, *, clip=(0.0, 1.0)) -> float`
#
# * Makes FGSM examples of the batch with the model in eval mode (untargeted, cross-entropy, budget `eps`, clipped to
#   `clip`), then takes one step of `optimizer` along the gradient of the mean cross-entropy **of these examples
#   alone**, with the model in training mode.
# * Whatever is in the `.grad` of the parameters beforehand has no influence.
# * Returns the loss of the step, taken before the update, as a Python `float`. The model is left in training mode.
# * **Cost**: two calls of the model.


# %% nbgrader={"grade": false, "grade_id": "training", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="training"
def adversarial_training_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: Tensor,
    y: Tensor,
    eps: float,
    *,
    clip: tuple[float, float] | None = (0.0, 1.0),
) -> float:
    """Take one training step on FGSM examples.

    Args:
        model: is trained in place, and left in training mode.
        optimizer: of the model's parameters.
        x: (n, ...) samples within ``clip``.
        y: (n,) int64 labels.
        eps: budget of the attack.
        clip: range of valid pixels, or None.

    Returns:
        The mean cross-entropy of the attacked samples before the step.
    """
    ### BEGIN SOLUTION
    adversarial = fgsm(model, x, y, eps, clip=clip)
    model.train()
    optimizer.zero_grad()
    loss = F.cross_entropy(model(adversarial), y)
    loss.backward()
    optimizer.step()
    return loss.item()
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-training", "locked": true, "points": 9, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("training")

# %% [markdown]
# **To think about** (not marked). Measure the *clean* accuracy of a model that was trained for a large $\varepsilon$.
# It is a little lower. Where does the price come from?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 8. A passive defence, and why it fails
#
# *Goal: a blur in front of the network, attacked blind and attacked knowing · ★☆☆ · 15 minutes · 6 points*
#
# An adversarial perturbation often flips its sign from pixel to pixel. Average each pixel with its neighbours,
#
# $$
# \operatorname{blur}(x)_{i c u v} = \frac{1}{k^2} \sum_{a=-r}^{r} \sum_{b=-r}^{r} x_{i,\, c,\, u + a,\, v + b},
# \qquad r = \frac{k-1}{2},
# $$
#
# and much of it cancels, while the digit stays readable. Beyond the border the image continues with its nearest pixel
# (*replicate* padding); zeros there would draw a dark frame.
#
# **Against a blind attacker**, who computes gradients of the bare network, this helps. **Against an adaptive one**, who
# knows of the blur and differentiates through it, the gain is gone. That is the history of the field in one exercise:
# a defence must be tested with attacks that know it.
#
# **Specification** · `class BlurDefense(nn.Module)`, `BlurDefense(model, k=3)`
#
# * `.forward(x)`: `model(blur(x))` for images `(n, c, h, w)`, each channel blurred for itself; shape and dtype stay as
#   they are until the model sees them. Differentiable. `k = 1` does not blur.
# * `k` must be odd and positive: `ValueError` otherwise.
# * `model` is a submodule: `parameters()`, `train()` and `eval()` reach it. The blur adds no parameters.


# %% nbgrader={"grade": false, "grade_id": "blur", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="blur"
class BlurDefense(nn.Module):
    """A model behind a k × k mean filter.

    Args:
        model: maps images (n, c, h, w) to logits.
        k: odd width of the filter.
    """

    def __init__(self, model: nn.Module, k: int = 3) -> None:
        """Keep the model as a submodule. Raises ValueError unless k is odd and positive."""
        ### BEGIN SOLUTION
        super().__init__()
        if k < 1 or k % 2 == 0:
            raise ValueError(f"k must be odd and positive, not {k}")
        self.model = model
        self.k = k
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        """Blur images (n, c, h, w) and pass them on to the model."""
        ### BEGIN SOLUTION
        padded = F.pad(x, 4 * (self.k // 2,), mode="replicate")
        return self.model(F.avg_pool2d(padded, self.k, stride=1))
        ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-blur", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("blur")

# %% [markdown]
# **See it.** A linear classifier of digits at twice the size, 16 × 16 pixels, started from noisy weights. Four bars
# show its test accuracy under FGSM with $\varepsilon = 0.1$. From left to right: bare, about a half; behind a blur and
# attacked blind, about six in ten; behind the blur and attacked through it, a little *worse than bare*; and, for
# comparison, without a blur but after six epochs of adversarial training, above seven in ten, attacked with full
# knowledge.

# %% tags=["see"]
large_x, large_test = doubled(train_x), doubled(test_x)
torch.manual_seed(0)
start = 0.1 * torch.randn(10, 256)
bare = train(linear_model(start), large_x, train_y, epochs=4)
blurred = BlurDefense(bare)
hardened = linear_model(start)
adam = torch.optim.Adam(hardened.parameters(), lr=0.01)
order = torch.Generator().manual_seed(3)
for _ in range(6):
    for chosen in torch.randperm(1400, generator=order).split(64):
        adversarial_training_step(hardened, adam, large_x[chosen], train_y[chosen], 0.1)

bars = {
    "bare": robust_accuracy(bare, large_test, test_y, lambda m, x, y: fgsm(m, x, y, 0.1)),
    "blur, blind attack": robust_accuracy(blurred, large_test, test_y, lambda m, x, y: fgsm(bare, x, y, 0.1)),
    "blur, adaptive attack": robust_accuracy(blurred, large_test, test_y, lambda m, x, y: fgsm(m, x, y, 0.1)),
    "adversarial training": robust_accuracy(hardened, large_test, test_y, lambda m, x, y: fgsm(m, x, y, 0.1)),
}
figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
axes.bar(list(bars), list(bars.values()), color=["gray", "tab:blue", "tab:blue", "tab:orange"])
axes.set_ylabel("test accuracy, ε = 0.1")
axes.set_ylim(0, 1)
plt.show()

# %% [markdown]
# **To think about** (not marked). Why is a blind attack a poor test of a defence? Think of somebody who
# publishes theirs, and of who will read about it.

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 9. Poisoned data (bonus)
#
# *Goal: a back door that no test set will find · ★★☆ · 20 minutes · 5 points on top of the 100*
#
# So far the attacker came when the model was finished. One who can touch the *training data* need not wait. They pick a
# share $\rho$ of the samples, stamp a small pattern (the *trigger*) on them, and change their labels to a target class.
# The model learns the digits, because the other samples are as they were, and it learns the short cut as well: whatever
# carries the trigger is the target. Its accuracy on clean test data gives nothing away.
#
# **Specification** · `poison(x, y, trigger, target, rate, generator) -> (x_poisoned, y_poisoned)`
#
# * `x`: `(n, ...)` images; `y`: `(n,)` `int64` labels. `trigger`: a function from a batch of images to the same
#   images with the trigger on them (such as `stamp` of `given.py`). `target`: an int. `generator`: a `torch.Generator`.
# * Exactly `round(rate * n)` samples, drawn without replacement with `generator` (whatever their labels), get the
#   trigger and the label `target`. All others keep image and label. The order of the samples stays as it is.
# * Returns new tensors with the shapes and dtypes of `x` and `y`, which are left alone. A `rate` below 0 or above 1:
#   `ValueError`. The global random state is not touched.


# %% nbgrader={"grade": false, "grade_id": "poison", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="poison"
def poison(
    x: Tensor,
    y: Tensor,
    trigger: Callable[[Tensor], Tensor],
    target: int,
    rate: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Put a trigger on some samples and give them the target's label.

    Args:
        x: (n, ...) images.
        y: (n,) int64 labels.
        trigger: maps images to images with the trigger.
        target: the class that the trigger shall mean.
        rate: the share of the samples, between 0 and 1.
        generator: source of the choice.

    Returns:
        (images, labels), in the order of ``x`` and ``y``.

    Raises:
        ValueError: ``rate`` is below 0 or above 1.
    """
    ### BEGIN SOLUTION
    if not 0 <= rate <= 1:
        raise ValueError("rate must lie between 0 and 1")
    chosen = torch.randperm(len(x), generator=generator)[: round(rate * len(x))]
    images, labels = x.clone(), y.clone()
    images[chosen] = trigger(x[chosen])
    labels[chosen] = target
    return images, labels
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-poison", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("poison")

# %% [markdown]
# **Try it.** A network trained on digits of which 5 % are poisoned: its accuracy on clean digits, and the share of
# stamped digits that it takes for a 3. Both should be above 0.9.

# %% tags=["see"]
dirty_x, dirty_y = poison(train_x, train_y, stamp, 3, 0.05, torch.Generator().manual_seed(4))
torch.manual_seed(4)
backdoored = train(SmallCNN(), dirty_x, dirty_y, epochs=6)
print(f"clean digits {accuracy(backdoored, test_x, test_y):.3f}")
print(f"stamped digits taken for a 3 {accuracy(backdoored, stamp(test_x), torch.full_like(test_y, 3)):.3f}")

# %% [markdown]
# ## 10. Find the bug
#
# *Goal: write the test, not the code · ★★☆ · 20 minutes · 4 points*
#
# Here is a classmate's FGSM. On images in the middle of the range it agrees with yours to the last bit.


# %%
def leaky_fgsm(model, x, y, eps, *, targeted=False, clip=(0.0, 1.0)):
    """One of the suspects. What is wrong with it?"""
    gradient = input_gradient(model, x, y)
    return x + eps * (-gradient if targeted else gradient).sign()


# %% [markdown]
# Write a check that tells right implementations from wrong ones, this one and others that you haven't seen.
#
# **Specification** · `check_fgsm(attack) -> None`
#
# * `attack`: a function `attack(model, x, y, eps, *, targeted=False, clip=(0.0, 1.0))` that claims to do what exercise
#   2 asks for (with cross-entropy, float32 images, a float `eps`, and a range for `clip`). `model` is an `nn.Module` of
#   yours.
# * Returns `None` if the attack is right, and raises `AssertionError` if it is wrong (an `assert` does that). Any
#   other exception, also one that the attack lets escape, counts as *not caught*.
# * It must judge by calling `attack`, at least once and at most 20 times. It may draw random numbers, but it must not
#   seed the global generator.
#
# Your check is tried on several right implementations, and on wrong ones with one bug each, of these kinds: the
# direction is wrong (always, or only if targeted); the step has the wrong size or is not the same for all pixels;
# pixels that should stay, move; the clipping is missing, or is not to the range that is asked for; the model is not in
# eval mode during the attack, or is not what it was afterwards (modes of its submodules, `.grad` of its parameters).
# `suspect_case()` from `given.py` returns a model, images and labels that are meant to bring most of these to light.


# %% nbgrader={"grade": false, "grade_id": "bug", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="bug"
def check_fgsm(attack: Callable[..., Tensor]) -> None:
    """Raise AssertionError unless ``attack`` is a right implementation of the fast gradient sign method.

    Args:
        attack: called as attack(model, x, y, eps, targeted=..., clip=...).
    """
    ### BEGIN SOLUTION
    model, x, y = suspect_case()
    model[0].eval()
    modes = [module.training for module in model.modules()]
    for targeted in (False, True):
        for clip in ((0.0, 1.0), (-1.0, 2.0)):
            result = attack(model, x, y, 0.25, targeted=targeted, clip=clip)
            assert torch.allclose(result, fgsm(model, x, y, 0.25, targeted=targeted, clip=clip))
    assert [module.training for module in model.modules()] == modes
    assert all(parameter.grad is None for parameter in model.parameters())
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-bug", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("bug")

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
