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
# # Autograd
#
# `loss.backward()`: three words, and every parameter of a network knows which way to go. The rest of this course stands
# on that line, so we begin by taking the magic out of it. At the end of this notebook you will have written your own,
# small enough to read in five minutes and right enough to train a network.
#
# One idea carries everything. Take any quantity $v$ on the way from the inputs to a scalar $L$ and write
#
# $$
# \bar v = \frac{\partial L}{\partial v}, \qquad \text{a tensor of the same shape as } v .
# $$
#
# If $y = f(x)$ is one step of the computation, then the chain rule takes $\bar y$ back to $\bar x$:
#
# $$
# \underbrace{\bar x}_{\text{shape of } x} \;\mathrel{+}=\;
# \sum_i \underbrace{\bar y_i}_{\text{given}} \underbrace{\frac{\partial y_i}{\partial x}}_{\text{known of } f} .
# $$
#
# This is a *vector–Jacobian product*, the vector $\bar y$ times the Jacobian of $f$. No step needs to know what $L$ is,
# or what happens before or after it; nobody ever writes the whole Jacobian down. The `+=` is there because $x$ may be
# used in more than one place, and all its uses contribute. Going through the steps backwards, once, gives the gradient
# of $L$ with respect to *everything*, for about the price of computing $L$ a few times. That is *reverse mode*, known
# to neural networks as backpropagation.
#
# **What you will be able to do**: check any gradient by numbers; write a function with its own backward; build reverse
# mode on a graph; say when gradients add up, when a graph is kept and where it is cut; get a gradient for every single
# sample; follow gradients downhill on a surface that you can see.

# %% [markdown]
# ## How this notebook works
#
# | exercise | you write | difficulty | minutes | points |
# | --- | --- | --- | --- | --- |
# | 1 | `numerical_grad` | ★☆☆ | 15 | 8 |
# | 2 | `SigmoidFn` | ★★☆ | 20 | 10 |
# | 3 | `LinearFn` | ★★☆ | 25 | 12 |
# | 4 | `Var` | ★★★ | 75 | 32 |
# | 5 | `detached_product_grad` | ★☆☆ | 10 | 8 |
# | 6 | `per_sample_grads` | ★★☆ | 20 | 12 |
# | 7 | `himmelblau`, `gradient_descent` | ★★☆ | 25 | 14 |
# | 8 | `check_gradient` | ★★☆ | 20 | 4 |
#
# Each exercise ends with a cell that runs the *public* checks on your code: ✔ it holds, ✘ it does not (with a hint),
# ○ not attempted yet. They are worth 30 of the 100 points. The other points come from checks that you don't see:
# other shapes and dtypes, extreme numbers, gradients of gradients, side effects, cost. Everything they ask for is
# written in the specification of the exercise. The first check of an exercise is its *gate*: while it fails, the
# other checks of the exercise do not count. Plots and public checks are not run when your notebook is marked.
#
# **Rules for every function**
#
# * It leaves its arguments alone (values, `requires_grad`, `.grad`), and PyTorch's global state as well: random number
#   generator, grad mode, default dtype. Its result shares no memory with its arguments.
# * It keeps the dtype of its floating-point input, unless its specification says otherwise. It takes tensors that are
#   not contiguous, such as `x.t()`.
# * You may call functions of earlier exercises, or not, as you like.
#
# **Not allowed**, because it would be the answer:
#
# * in exercise 2: PyTorch's sigmoid under any of its names (`torch.sigmoid`, `F.sigmoid`, `nn.Sigmoid`, `x.sigmoid()`,
#   `torch.special.expit`) and functions made from it (`F.logsigmoid`, `F.silu`). Use `exp`;
# * in exercise 4: PyTorch's autograd: `torch.autograd.grad` and `torch.autograd.backward`, `torch.autograd.functional`,
#   `torch.func`, the `backward` of tensors, and tensors that require grad. (Your `Var` has a method `backward` and an
#   attribute `requires_grad` of its own; the tensors inside it are plain numbers.)
#
# In all other exercises both are welcome.
#
# **Conventions of the course.** $\mathrm{ReLU}'(0) = 0$ and $\operatorname{sign}(0) = 0$. Logarithms are natural.
# Dropout's $p$ is the probability of *dropping*. A boolean mask is `True` where attention is allowed, and a fully
# masked row gives zeros. "Convolution" is cross-correlation.

# %%
from collections.abc import Callable
from itertools import product
from typing import Any, Self

import torch
from torch import Tensor

# %% [markdown]
# ## 1. The gradient as a number
#
# *Goal: a gradient that you can trust because it knows no calculus · ★☆☆ · 15 minutes · 8 points*
#
# A derivative is a limit of differences, so take differences. With $e_i$ the tensor that is 1 at entry $i$ and 0
# elsewhere,
#
# $$
# \frac{f(x + \varepsilon e_i) - f(x)}{\varepsilon} = \frac{\partial f}{\partial x_i} + O(\varepsilon),
# \qquad
# \frac{f(x + \varepsilon e_i) - f(x - \varepsilon e_i)}{2\varepsilon} = \frac{\partial f}{\partial x_i} + O(\varepsilon^2).
# $$
#
# The second formula, the *central difference*, costs one call more and gains half of all digits: the even terms of the
# Taylor series cancel. For $x^3$ at $x = 10$ with $\varepsilon = 10^{-3}$ the first is wrong by 0.03, the second by
# 0.000001.
#
# Why not make $\varepsilon$ tiny, then? Because $f(x + \varepsilon)$ and $f(x - \varepsilon)$ are rounded, and dividing
# by $2\varepsilon$ makes the rounding errors large: about $10^{-16}/\varepsilon$ in float64, $10^{-7}/\varepsilon$ in
# float32. With $\varepsilon = 10^{-6}$, float64 leaves an error near $10^{-10}$, and float32 leaves nothing: an error
# of 0.1. So the differences are **always** taken in float64.
#
# **Specification** · `numerical_grad(f, x, eps=1e-6) -> Tensor`
#
# * `f`: a function that maps a tensor of the shape of `x` to a scalar tensor. It is called with `float64` tensors, at
#   most twice for each entry of `x`. `x`: floating-point tensor of any shape, also `()`; a view such as `x.t()` or
#   `x.expand(3, 4)` is welcome.
# * Returns the central differences with step `eps`: `float64`, the shape of `x`, without a graph (also if `x` or
#   something in `f` requires grad).
# * No side effects.
#
# This slow loop defines the result for a vector:
#
# ```python
# for i in range(len(x)):
#     step = torch.zeros_like(x)
#     step[i] = eps
#     result[i] = (f(x + step) - f(x - step)) / (2 * eps)
# ```


# %% nbgrader={"grade": false, "grade_id": "numerical_grad", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="numerical_grad"
def numerical_grad(f: Callable[[Tensor], Tensor], x: Tensor, eps: float = 1e-6) -> Tensor:
    """Differentiate ``f`` at ``x`` by central differences in float64.

    Args:
        f: maps a float64 tensor of the shape of ``x`` to a scalar tensor.
        x: floating-point tensor of any shape.
        eps: the step to either side.

    Returns:
        float64 tensor of the shape of ``x``, without a graph.
    """
    ### BEGIN SOLUTION
    x = x.detach().double()
    gradient = torch.empty(x.shape, dtype=torch.float64)
    for index in product(*map(range, x.shape)):
        step = torch.zeros(x.shape, dtype=torch.float64)
        step[index] = eps
        gradient[index] = (f(x + step) - f(x - step)).item() / (2 * eps)
    return gradient
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-numerical_grad", "locked": true, "points": 8, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("numerical_grad")

# %% [markdown]
# **See it.** The error of two numerical derivatives of $e^x$ at $x = 1$ against the step $\varepsilon$, both axes
# logarithmic. From the right, the one-sided error falls with slope 1 and the central one, yours, with slope 2: that is
# $O(\varepsilon)$ and $O(\varepsilon^2)$. From the left, rounding pushes both up again as $10^{-16}/\varepsilon$. The
# central curve is lowest between $10^{-7}$ and $10^{-5}$, where it is about a hundred times better than the one-sided
# curve ever gets.

# %% tags=["see"]
import matplotlib.pyplot as plt

one = torch.ones((), dtype=torch.float64)
exact = one.exp()
steps = [10 ** (-k / 4) for k in range(2, 49)]
one_sided = [abs((one + h).exp() - one.exp() - h * exact) / h + 1e-17 for h in steps]
central = [abs(numerical_grad(torch.exp, one, eps=h) - exact) + 1e-17 for h in steps]

figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
axes.loglog(steps, one_sided, label="one-sided")
axes.loglog(steps, central, label="central (numerical_grad)")
axes.set_xlabel("ε")
axes.set_ylabel("error")
axes.legend()
plt.show()

# %% [markdown]
# **To think about** (not marked). A network has a million parameters, and one forward pass takes 10 ms. How long does
# `numerical_grad` take for one gradient? (Backpropagation takes about 30 ms.) And what can you still use it for?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 2. A function with its own backward
#
# *Goal: tell autograd what you know better · ★★☆ · 20 minutes · 10 points*
#
# PyTorch records every operation and knows the backward of each. Sometimes you know a better one: cheaper, more stable,
# or with less to remember. A subclass of `torch.autograd.Function` replaces what is recorded by two functions of yours.
# The *logistic sigmoid* is the classic:
#
# $$
# \sigma(z) = \frac{1}{1 + e^{-z}},
# \qquad
# \sigma'(z) = \sigma(z)\,\bigl(1 - \sigma(z)\bigr).
# $$
#
# Look at the right-hand side: **the derivative is a function of the output**. The input need not be kept at all. (And
# mind what the prime means: $\sigma'$ is the derivative with respect to $z$. If $z = wx + b$, then the derivative with
# respect to $w$ is $\sigma(z)(1 - \sigma(z))\,x$; that last factor is the business of whoever made $z$.)
#
# `backward` gets $\bar y$, the gradient of the loss with respect to the output, and returns
# $\bar z = \bar y \odot \sigma'(z)$. It never gets to see the loss. If it is made of differentiable operations on saved
# tensors, then PyTorch can differentiate it again, and second derivatives come for free.
#
# In floating point, mind the exponential: $e^{1000}$ is infinite. Of the two forms of one function,
#
# $$
# \sigma(z) = \frac{1}{1 + e^{-z}} = \frac{e^{z}}{1 + e^{z}} ,
# $$
#
# the second gives $\infty/\infty$, `nan`, at $z = 1000$. The first survives $z = -1000$, because $1/\infty$ happens to be
# the right answer; had autograd differentiated it, its gradient there would be `nan`. Used where its exponential is
# at most 1, each is safe.
#
# **Specification** · `class SigmoidFn(torch.autograd.Function)`, used as `SigmoidFn.apply(x)`
#
# * `x`: floating-point tensor of any shape. The result has its shape and dtype.
# * Right without overflow for any number, $\pm 1000$ and $\pm\infty$ included, and so is its gradient (0 there).
# * `backward` uses the output: the forward saves exactly one tensor, its result, by `save_for_backward`, and keeps no
#   other in `ctx`.
# * Differentiable twice. No side effects.


# %% nbgrader={"grade": false, "grade_id": "sigmoid", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="sigmoid"
class SigmoidFn(torch.autograd.Function):
    """The logistic sigmoid, with a backward that needs nothing but the output."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Compute 1 / (1 + exp(−x)) and save it for backward.

        Args:
            ctx: where autograd keeps what backward needs.
            x: floating-point tensor of any shape.

        Returns:
            Tensor of the shape and dtype of ``x``.
        """
        ### BEGIN SOLUTION
        y = x.clamp(max=0).exp() / (1 + (-x.abs()).exp())
        ctx.save_for_backward(y)
        return y
        ### END SOLUTION

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> Tensor:
        """Turn the gradient with respect to the output into the one with respect to ``x``.

        Args:
            ctx: as forward left it.
            grad_output: the gradient of the loss with respect to the output, of the same shape.

        Returns:
            Tensor of the shape and dtype of ``x``.
        """
        ### BEGIN SOLUTION
        (y,) = ctx.saved_tensors
        return grad_output * y * (1 - y)
        ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-sigmoid", "locked": true, "points": 10, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("sigmoid")

# %% [markdown]
# **To think about** (not marked). How large can $\sigma'$ become? A network of twenty sigmoid layers multiplies twenty of
# these numbers. What reaches the first layer?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 3. A linear layer by hand
#
# *Goal: gradients of a matrix product, and not one product too many · ★★☆ · 25 minutes · 12 points*
#
# The layer that nearly all computing time goes into:
#
# $$
# \underbrace{Y}_{(n,\,o)} = \underbrace{X}_{(n,\,i)}\,\underbrace{W^\top}_{(i,\,o)} + \underbrace{b}_{(o)},
# \qquad
# \underbrace{\bar X}_{(n,\,i)} = \bar Y\, W,
# \qquad
# \underbrace{\bar W}_{(o,\,i)} = \bar Y^\top X,
# \qquad
# \underbrace{\bar b}_{(o)} = \sum_{k=1}^{n} \bar Y_{k\cdot} .
# $$
#
# You need not remember them: shapes leave only one way to write each. The bias was *added to every row*, so it collects
# the gradient of every row. That is the general rule for broadcasting, and exercise 4 will need it everywhere: **what
# was copied forwards is summed backwards**.
#
# `X` may have more than two dimensions, such as (batch, time, $i$): all but the last only count rows.
#
# Two of the gradients cost a matrix product each, as much as the forward. Often one of them is not needed: the input
# layer has data for `X`, a frozen layer has a `W` that does not train. `ctx.needs_input_grad` is a tuple of booleans,
# one for each argument of `apply`; where it says `False`, return `None` and save the work.
#
# **Specification** · `class LinearFn(torch.autograd.Function)`, used as `LinearFn.apply(x, w, b)`
#
# * `x`: `(..., i)`, also just `(i,)`; `w`: `(o, i)`; `b`: `(o,)` or `None`. One floating-point dtype, which the result
#   keeps. The result is `(..., o)`.
# * `backward` computes only what `ctx.needs_input_grad` asks for: one matrix product if it asks for one of $\bar X$,
#   $\bar W$ (however many dimensions `x` has), none if for neither. On the clock: where it asks for $\bar b$ alone, a
#   wide layer takes at most six times as long as ours, there and back.
# * Differentiable twice. No side effects.


# %% nbgrader={"grade": false, "grade_id": "linear", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="linear"
class LinearFn(torch.autograd.Function):
    """x Wᵀ + b, with its gradients written out."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
        """Compute x Wᵀ + b.

        Args:
            ctx: where autograd keeps what backward needs.
            x: (..., i).
            w: (o, i).
            b: (o,), or None.

        Returns:
            Tensor (..., o).
        """
        ### BEGIN SOLUTION
        ctx.save_for_backward(x, w)
        y = x @ w.T
        return y if b is None else y + b
        ### END SOLUTION

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Compute those of the gradients of x, w and b that are needed.

        Args:
            ctx: as forward left it.
            grad_output: (..., o), the gradient of the loss with respect to the output.

        Returns:
            Three gradients, of shapes (..., i), (o, i) and (o,); None for each that is not needed.
        """
        ### BEGIN SOLUTION
        x, w = ctx.saved_tensors
        needs_x, needs_w, needs_b = ctx.needs_input_grad
        rows = grad_output.reshape(-1, len(w))
        dx = grad_output @ w if needs_x else None
        dw = rows.T @ x.reshape(-1, w.shape[1]) if needs_w else None
        db = rows.sum(0) if needs_b else None
        return dx, dw, db
        ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-linear", "locked": true, "points": 12, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("linear")

# %% [markdown]
# **To think about** (not marked). Forward: one product of $n \cdot i \cdot o$ multiplications. Backward: two. That is
# why training a step costs about three times as much as predicting. Which tensors must be kept in memory between the
# two, and how does that grow with the batch?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 4. Your own autograd
#
# *Goal: reverse mode, whole · ★★★ · 75 minutes · 32 points*
#
# Now without PyTorch's. A `Var` holds a tensor of plain numbers and remembers where it came from. Every operation on
# `Var`s makes a new one that knows its operands and, for each of them, how to take a gradient back:
#
# | $y$ | $\bar a \mathrel{+}=$ | $\bar b \mathrel{+}=$ |
# | --- | --- | --- |
# | $a + b$ | $\bar y$ | $\bar y$ |
# | $a \cdot b$ | $\bar y \cdot b$ | $\bar y \cdot a$ |
# | $a / b$ | $\bar y / b$ | $-\bar y \cdot a / b^2$ |
# | $a^p$ | $\bar y \cdot p\, a^{p-1}$ | |
# | $A B$ | $\bar Y B^\top$ | $A^\top \bar Y$ |
# | $e^a$ | $\bar y \cdot y$ | |
# | $\log a$ | $\bar y / a$ | |
# | $\max(a, 0)$ | $\bar y$ where $a > 0$, else 0 | |
# | $\sum a$ | $\bar y$, copied to all entries | |
#
# Three things make an autograd out of this table.
#
# **Order.** The Vars form a directed graph without cycles (a DAG), not a chain and not a tree: in $y = a \cdot a + a$
# there are three ways from $y$ to $a$. A Var may pass its gradient on only when it is complete, that is, after *all*
# Vars that use it. So list the graph in topological order and go through it backwards, each Var once. Going down every
# *path* instead gives the same numbers, and takes $2^{40}$ steps for forty doublings $x \leftarrow x + x$. Recursion is a
# trap of its own: Python gives up after about a thousand nested calls, and graphs are deeper than that. Keep a list of
# your own as stack.
#
# **Shapes.** `(3, 4) + (4,)` is allowed: PyTorch copies the smaller one along the missing dimension, and along those of
# size 1. What was copied forwards is summed backwards, until the gradient has the shape of its Var.
#
# **Rules.** They are PyTorch's, and after this exercise you will know why they are what they are:
#
# * A *leaf* is a Var that you made yourself. Leaves with `requires_grad=True` collect gradients in `.grad`: a second
#   backward **adds** to the first. All others (constants, and results of operations) keep `.grad` as `None`.
# * The result of an operation requires grad if one of its operands does. Where nothing requires grad, nothing is
#   remembered.
# * `backward()` starts from $\bar L = 1$, so $L$ must have a single entry. A loss with more entries isn't a mistake, it
#   needs an explicit gradient to start from: `backward(grad)`.
# * `backward` *frees* the graph that it went through, to release its memory, unless told to retain it. Going through a
#   freed graph again, or through a part of it, raises an error. Leaves belong to nobody's graph and stay usable.
# * `detach()` gives a constant with the same values: no gradient passes.
#
# **Specification** · `class Var(data, requires_grad=False)`
#
# * `data`: floating-point tensor. Attributes: `.data` (a tensor that does not require grad), `.requires_grad` (a bool),
#   `.grad` (`None` or a tensor of the shape and dtype of `.data`).
# * `a + b`, `a - b`, `a * b`, `a / b`: a Var with a Var, a tensor or a Python number, on either side, broadcasting.
#   `-a`. `a ** p` for a Python number $p \neq 0$. `a @ b`: at least two dimensions each, with a Var or a tensor on either side;
#   further dimensions in front broadcast as in `torch.matmul`. All tensors in a graph have one dtype, and numbers take it.
# * `.exp()`, `.log()`, `.relu()`, `.sum(dim=None, keepdim=False)` (`dim` an int, a tuple of ints, or `None` for all), `.detach()`.
# * `.backward(grad=None, retain_graph=False)`: `grad` is a tensor of the shape of `.data`. Raises `RuntimeError`
#   if the Var does not require grad; if `grad` is `None` and `.data` has more than one entry; if a graph on the way
#   was freed already.
# * Nothing changes the tensors that come in: neither `data`, operands nor `grad`. Each `.grad` is an ordinary tensor that shares
#   memory with nothing else and can be written in place.
# * Graphs may be 20 000 operations deep. Each operation is gone back through once: the number of PyTorch operations in
#   `backward` is proportional to the number of operations in the graph. On the clock: a chain of 150 products and sums
#   takes at most six times as long as ours, there and back.
# * No PyTorch autograd inside: see *Not allowed* above.


# %% nbgrader={"grade": false, "grade_id": "var", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="var"
class Var:
    """A tensor that remembers how it was computed, and can go the way back.

    Attributes:
        data: the values, a tensor that does not require grad.
        requires_grad: whether gradients flow to this Var.
        grad: of a leaf that requires grad: the gradients of all backward calls so far, added up; else None.
    """

    def __init__(self, data: Tensor, requires_grad: bool = False) -> None:
        """Make a leaf. (Attributes and helper methods beyond the specified ones are yours to invent.)"""
        ### BEGIN SOLUTION
        self.data = data
        self.requires_grad = requires_grad
        self.grad = None
        self._edges = ()  # (operand, function that takes the gradient back to it) …; None: the graph was freed

    def _result(self, data, *edges):
        """The Var of an operation. Operands that need no gradient are not remembered."""
        edges = tuple(edge for edge in edges if edge[0].requires_grad)
        result = Var(data, requires_grad=len(edges) > 0)
        result._edges = edges
        return result

    def _operand(self, other):
        """A Var as it is, a tensor or a number as a constant."""
        return other if isinstance(other, Var) else Var(torch.as_tensor(other, dtype=self.data.dtype))
        ### END SOLUTION

    def __add__(self, other: Self | Tensor | float) -> Self:
        """self + other."""
        ### BEGIN SOLUTION
        other = self._operand(other)
        return self._result(self.data + other.data, (self, lambda g: g), (other, lambda g: g))
        ### END SOLUTION

    def __radd__(self, other: Tensor | float) -> Self:
        """other + self."""
        ### BEGIN SOLUTION
        return self + other
        ### END SOLUTION

    def __neg__(self) -> Self:
        """−self."""
        ### BEGIN SOLUTION
        return self * -1
        ### END SOLUTION

    def __sub__(self, other: Self | Tensor | float) -> Self:
        """self − other."""
        ### BEGIN SOLUTION
        return self + -self._operand(other)
        ### END SOLUTION

    def __rsub__(self, other: Tensor | float) -> Self:
        """other − self."""
        ### BEGIN SOLUTION
        return -self + other
        ### END SOLUTION

    def __mul__(self, other: Self | Tensor | float) -> Self:
        """self · other, entry by entry."""
        ### BEGIN SOLUTION
        other = self._operand(other)
        edges = (self, lambda g: g * other.data), (other, lambda g: g * self.data)
        return self._result(self.data * other.data, *edges)
        ### END SOLUTION

    def __rmul__(self, other: Tensor | float) -> Self:
        """other · self."""
        ### BEGIN SOLUTION
        return self * other
        ### END SOLUTION

    def __pow__(self, p: float) -> Self:
        """self to the power of a number."""
        ### BEGIN SOLUTION
        return self._result(self.data**p, (self, lambda g: g * p * self.data ** (p - 1)))
        ### END SOLUTION

    def __truediv__(self, other: Self | Tensor | float) -> Self:
        """self / other."""
        ### BEGIN SOLUTION
        return self * self._operand(other) ** -1
        ### END SOLUTION

    def __rtruediv__(self, other: Tensor | float) -> Self:
        """other / self."""
        ### BEGIN SOLUTION
        return self**-1 * other
        ### END SOLUTION

    def __matmul__(self, other: Self | Tensor) -> Self:
        """The matrix product self @ other."""
        ### BEGIN SOLUTION
        other = self._operand(other)
        edges = (self, lambda g: g @ other.data.mT), (other, lambda g: self.data.mT @ g)
        return self._result(self.data @ other.data, *edges)
        ### END SOLUTION

    def __rmatmul__(self, other: Tensor) -> Self:
        """other @ self."""
        ### BEGIN SOLUTION
        return self._operand(other) @ self
        ### END SOLUTION

    def exp(self) -> Self:
        """The exponential of each entry."""
        ### BEGIN SOLUTION
        y = self.data.exp()
        return self._result(y, (self, lambda g: g * y))
        ### END SOLUTION

    def log(self) -> Self:
        """The natural logarithm of each entry."""
        ### BEGIN SOLUTION
        return self._result(self.data.log(), (self, lambda g: g / self.data))
        ### END SOLUTION

    def relu(self) -> Self:
        """The larger of each entry and 0."""
        ### BEGIN SOLUTION
        return self._result(self.data.clamp(min=0), (self, lambda g: g * (self.data > 0)))
        ### END SOLUTION

    def sum(self, dim: int | tuple[int, ...] | None = None, keepdim: bool = False) -> Self:
        """The sum over all entries, or along ``dim``."""
        ### BEGIN SOLUTION
        kept = self.data.sum(dim, keepdim=True)
        edge = (self, lambda g: g.reshape(kept.shape).expand(self.data.shape))
        return self._result(kept if keepdim else self.data.sum(dim), edge)
        ### END SOLUTION

    def detach(self) -> Self:
        """A constant with the same values."""
        ### BEGIN SOLUTION
        return Var(self.data)
        ### END SOLUTION

    def backward(self, grad: Tensor | None = None, retain_graph: bool = False) -> None:
        """Add the gradients of this Var with respect to all leaves to their ``.grad``.

        Args:
            grad: the gradient to start from, of the shape of ``data``; None means 1.
            retain_graph: keep the graph for another backward.

        Raises:
            RuntimeError: this Var does not require grad, or has several entries and there is no ``grad``, or the graph
                was freed by an earlier backward.
        """
        ### BEGIN SOLUTION
        if not self.requires_grad:
            raise RuntimeError("this Var does not require grad")
        if grad is None:
            if self.data.numel() != 1:
                raise RuntimeError("a Var with several entries needs a gradient to start from")
            grad = torch.ones_like(self.data)

        order, seen, stack = [], set(), [(self, False)]  # every Var after those that it was made of
        while stack:
            var, finished = stack.pop()
            if finished:
                order.append(var)
            elif var not in seen:
                if var._edges is None:
                    raise RuntimeError("this graph was freed by an earlier backward")
                seen.add(var)
                stack.append((var, True))
                stack.extend((operand, False) for operand, _ in var._edges)

        grads = {self: grad}
        for var in reversed(order):
            g = grads.pop(var)
            for operand, pull_back in var._edges:
                share = pull_back(g).sum_to_size(operand.data.shape)
                grads[operand] = grads[operand] + share if operand in grads else share
            if not var._edges:
                var.grad = g.clone() if var.grad is None else var.grad + g
            elif not retain_graph:
                var._edges = None
        ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-var", "locked": true, "points": 32, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("var")

# %% [markdown]
# **See it.** A network with one hidden layer of 24 ReLUs, trained on 64 points of a sine by the class that you just
# wrote. The left panel shows the mean squared error on a logarithmic axis: in 400 steps it falls from above 1 to about
# 0.01. The right panel shows the points and the fitted curve: ReLUs give straight pieces, and they bend where the sine
# does.

# %% tags=["see"]
generator = torch.Generator().manual_seed(0)
inputs = torch.linspace(-3, 3, 64).reshape(64, 1)
targets = torch.sin(1.5 * inputs)
shapes = (1, 24), (24,), (24, 1), (1,)
parameters = [Var(0.7 * torch.randn(shape, generator=generator), requires_grad=True) for shape in shapes]


def network(x: Tensor) -> Var:
    """Map (n, 1) to (n, 1)."""
    w1, b1, w2, b2 = parameters
    return (x @ w1 + b1).relu() @ w2 + b2


errors = []
for _ in range(400):
    error = ((network(inputs) - targets) ** 2).sum() / len(inputs)
    error.backward()
    errors.append(error.data.item())
    for parameter in parameters:
        parameter.data -= 0.03 * parameter.grad
        parameter.grad = None

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
left.semilogy(errors)
left.set_xlabel("step")
left.set_ylabel("mean squared error")
right.plot(inputs, targets, ".", label="sin(1.5 x)")
right.plot(inputs, network(inputs).data, label="the network")
right.set_xlabel("x")
right.legend()
plt.show()

# %% [markdown]
# **To think about** (not marked). The loop above sets `parameter.grad = None` after each step. What would happen
# without that line, and when would you leave it out on purpose? (Think of a batch that is too large for your memory.)

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 5. Where a gradient stops
#
# *Goal: know what a detached factor does · ★☆☆ · 10 minutes · 8 points*
#
# Back to PyTorch's autograd. Sometimes a value shall be used and not be learnt from: the target of a regression that
# comes from the network itself, the baseline of a policy gradient, a mask. Write $\operatorname{sg}(\cdot)$ for *stop
# gradient*: the identity forwards, zero backwards. In PyTorch it is `detach()`. Compare
#
# $$
# \frac{\partial}{\partial x_i} \sum_j f(x)_j\, x_j
# \qquad\text{and}\qquad
# \frac{\partial}{\partial x_i} \sum_j \operatorname{sg}\bigl(f(x)\bigr)_j\, x_j .
# $$
#
# The first has two terms, by the product rule. What is left of the second? Work it out before you write a line.
#
# **Specification** · `detached_product_grad(f, x) -> Tensor`
#
# * `x`: floating-point tensor of any shape. `f`: a function that maps `x` to a tensor of the same dtype, whose shape is that
#   of `x` or broadcasts to it (a scalar, a row). It is called once.
# * Returns the second of the two gradients: shape and dtype of `x`, without a graph. It shares no memory with `x`, whatever
#   `f` returns.
# * Works inside `torch.no_grad()` as well. No side effects: neither the `.grad` of `x` nor that of any other tensor
#   that `f` uses is touched.


# %% nbgrader={"grade": false, "grade_id": "detached", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="detached"
def detached_product_grad(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Differentiate Σ f(x) · x with respect to ``x``, f(x) being taken for a constant.

    Args:
        f: maps ``x`` to a tensor whose shape broadcasts to that of ``x``.
        x: floating-point tensor of any shape.

    Returns:
        Tensor of the shape and dtype of ``x``, without a graph.
    """
    ### BEGIN SOLUTION
    with torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad((f(leaf).detach() * leaf).sum(), leaf)
    return gradient
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-detached", "locked": true, "points": 8, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("detached")

# %% [markdown]
# **To think about** (not marked). `with torch.no_grad(): y = f(x)` and `y = f(x).detach()` give the same `y`. What is the
# difference in time and memory?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 6. A gradient for every sample
#
# *Goal: see what the sum hides · ★★☆ · 20 minutes · 12 points*
#
# A batch of samples goes in, and *one* gradient comes out: autograd adds up the gradients of all samples, because
# the loss does. Some questions need them one by one: which sample pulls hardest? How noisy is the gradient? (Private
# training even clips each of them before adding.) For a single neuron with squared error,
#
# $$
# \ell_k = \tfrac12 \bigl(p_k - t_k\bigr)^2,
# \qquad
# p_k = \sigma(z_k), \quad z_k = x_k^\top w + b,
# $$
#
# the chain rule has three factors: of the error, of the sigmoid, and of $z$ with respect to what you ask for.
#
# $$
# \underbrace{\frac{\partial \ell_k}{\partial w}}_{(d)} = (p_k - t_k)\; p_k (1 - p_k)\; x_k,
# \qquad
# \frac{\partial \ell_k}{\partial b} = (p_k - t_k)\; p_k (1 - p_k).
# $$
#
# **Specification** · `per_sample_grads(X, t, w, b) -> (gw, gb)`
#
# * `X`: `(n, d)`; `t`: `(n,)`; `w`: `(d,)`; `b`: a scalar tensor `()`. One floating-point dtype, which the results keep.
# * Returns the gradients of each $\ell_k$: `gw` `(n, d)` and `gb` `(n,)`. They may carry a graph or not.
# * Finite for any finite input: where the sigmoid has saturated, the gradient is 0.
# * Closed form, autograd or `torch.func`, as you like; `torch.sigmoid` is welcome. `w` and `b` may be `nn.Parameter`s
#   with something in `.grad` already, which neither changes nor matters. No side effects.
# * **Cost**: no loop over the samples. The number of PyTorch operations does not grow with $n$, and 4 096 samples take
#   at most 20 times as long as with our solution.
#
# This slow loop defines the result:
#
# ```python
# for k in range(n):
#     loss = 0.5 * (torch.sigmoid(X[k] @ w + b) - t[k]) ** 2
#     gw[k], gb[k] = torch.autograd.grad(loss, (w, b))
# ```


# %% nbgrader={"grade": false, "grade_id": "per_sample", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="per_sample"
def per_sample_grads(X: Tensor, t: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the gradient of ½ (σ(x w + b) − t)² for every sample.

    Args:
        X: (n, d) inputs.
        t: (n,) targets.
        w: (d,) weights.
        b: () bias.

    Returns:
        (gw, gb) of shapes (n, d) and (n,).
    """
    ### BEGIN SOLUTION
    p = torch.sigmoid(X @ w + b)
    gb = (p - t) * p * (1 - p)
    return gb.unsqueeze(1) * X, gb
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-per_sample", "locked": true, "points": 12, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("per_sample")

# %% [markdown]
# **To think about** (not marked). A sample with $t = 1$ and $p = 0.0001$ is as wrong as can be. How large is its
# gradient, compared with one of $p = 0.5$? This is why classifiers are not trained with squared error. With which
# loss does the factor $p(1-p)$ cancel?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 7. Downhill, on a surface that you can see
#
# *Goal: gradient descent with momentum, step by step · ★★☆ · 25 minutes · 14 points*
#
# Himmelblau's function has two variables and four minima, all with value 0:
#
# $$
# h(x, y) = (x^2 + y - 11)^2 + (x + y^2 - 7)^2 .
# $$
#
# Gradient descent with *heavy-ball* momentum keeps a velocity, a fading sum of past gradients:
#
# $$
# v_{k+1} = \mu\, v_k + \nabla f(x_k),
# \qquad
# x_{k+1} = x_k - \eta\, v_{k+1},
# \qquad
# v_0 = 0 .
# $$
#
# With $\mu = 0$ it is plain gradient descent. With $\mu = 0.9$ a constant gradient moves the point up to
# $1/(1 - \mu) = 10$ times as far in each step. This is the convention of `torch.optim.SGD`; the gradient is *not*
# multiplied by $1 - \mu$, and it is taken where the point *is* (not ahead of it, as Nesterov does).
#
# **Specification** · `himmelblau(p) -> Tensor`
#
# * `p`: floating-point tensor `(..., 2)`; the last dimension holds $x$ and $y$. Returns $h$ of each point: shape `(...)`,
#   dtype of `p`. Differentiable.
#
# **Specification** · `gradient_descent(f, x0, lr, steps, momentum=0.0) -> Tensor`
#
# * `f`: a function that maps a tensor of the shape of `x0` to a scalar tensor; called at most `steps + 1` times. `x0`:
#   floating-point tensor of any shape.
# * Returns the trajectory, `(steps + 1, *x0.shape)`, of the dtype of `x0`: $x_0, x_1, \dots, x_{\text{steps}}$. It has no
#   graph and is a tensor of its own: it shares no memory with `x0`. `steps` may be 0.
# * Works inside `torch.no_grad()` as well. No side effects: neither the `.grad` of `x0` nor that of any other tensor
#   that `f` uses is touched.


# %% nbgrader={"grade": false, "grade_id": "descent", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="descent"
def himmelblau(p: Tensor) -> Tensor:
    """Compute Himmelblau's function of every point.

    Args:
        p: (..., 2), the points (x, y).

    Returns:
        Tensor (...) of the dtype of ``p``.
    """
    ### BEGIN SOLUTION
    x, y = p.unbind(-1)
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2
    ### END SOLUTION


def gradient_descent(f: Callable[[Tensor], Tensor], x0: Tensor, lr: float, steps: int, momentum: float = 0.0) -> Tensor:
    """Follow the gradient of ``f`` downhill, with heavy-ball momentum.

    Args:
        f: maps a tensor of the shape of ``x0`` to a scalar tensor.
        x0: where to start.
        lr: the step size η.
        steps: the number of steps.
        momentum: the share μ of the velocity that is kept.

    Returns:
        Tensor (steps + 1, *x0.shape) without a graph: all points, the start included.
    """
    ### BEGIN SOLUTION
    x = x0.detach()
    velocity = torch.zeros_like(x)
    trajectory = [x]
    for _ in range(steps):
        with torch.enable_grad():
            leaf = x.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(f(leaf), leaf)
        velocity = momentum * velocity + gradient
        x = x - lr * velocity
        trajectory.append(x)
    return torch.stack(trajectory)
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-descent", "locked": true, "points": 14, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("descent")

# %% [markdown]
# **See it.** Contour lines of $\log(1 + h)$ over $-5.5 \le x, y \le 5.5$: four valleys, one in each quadrant, around a hill
# near the middle. Four trajectories start close to the hill and each ends in a valley of its own (crosses). Solid
# lines are plain gradient descent, which goes straight down; dotted ones have momentum 0.9: they overshoot, swing around
# like a ball in a bowl, and come to rest at the same points.

# %% tags=["see"]
axis = torch.linspace(-5.5, 5.5, 221)
grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1)
figure, axes = plt.subplots(figsize=(5, 5), layout="constrained")
axes.contour(axis, axis, torch.log1p(himmelblau(grid)), levels=20, cmap="viridis", linewidths=0.6)
for start in ((1.0, 0.0), (-1.0, 1.0), (-1.0, -1.0), (4.0, -1.0)):
    for momentum, style in ((0.0, "-"), (0.9, ":")):
        lr = 0.01 if momentum == 0 else 0.003
        path = gradient_descent(himmelblau, torch.tensor(start), lr=lr, steps=150, momentum=momentum)
        axes.plot(*path.T, style, color="tab:red", linewidth=1.2)
        axes.plot(*path[-1], "x", color="black")
axes.set_xlabel("x")
axes.set_ylabel("y")
plt.show()

# %% [markdown]
# **To think about** (not marked). Near a minimum, $f$ looks like a parabola with curvature $\lambda$. For which step
# sizes does plain gradient descent converge there? What decides the step size if the curvatures in two directions
# are 100 and 1?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 8. Find the bug
#
# *Goal: a test that right gradients pass and wrong ones do not · ★★☆ · 20 minutes · 4 points*
#
# Now you are the examiner. Somebody hands you a function $f$ and a second function `df` that is said to be its gradient.
# `check_gradient(f, df)` decides. A test at $x = 0$, at a matrix of ones or at positive numbers lets nearly everything
# pass. Here a factor of 2 was lost. At 0, nobody notices:


# %%
def sine_of_squares(x: Tensor) -> Tensor:
    """Compute Σ sin(x²)."""
    return (x**2).sin().sum()


def forgetful_gradient(x: Tensor) -> Tensor:
    """Claim to be the gradient of Σ sin(x²): the inner derivative of x² is 2x, not x."""
    return x * (x**2).cos()


# %% [markdown]
# Your check will meet right gradients of several functions, and wrong ones with bugs of these kinds:
#
# * **chain rule**: a factor, a sign or an inner derivative is missing;
# * **region**: right for some entries only: positive ones, or those between −1 and 1, or all but those in the last column;
# * **coupling**: entries of one row (or column) influence each other's gradients, and the bug ignores it, or mixes up rows
#   and columns;
# * **form**: the result has another shape, which may well broadcast, or another dtype;
# * **precision**: differences with a coarse step, wrong by about 0.001.
#
# **Specification** · `check_gradient(f, df) -> None`
#
# * `f`: maps a `float64` tensor `(n, d)`, of any $n, d \ge 2$, to a scalar tensor. It is smooth, works with autograd, and is
#   always what it is meant to be. `df`: maps the same tensor to what is claimed to be the gradient of `f`, a `float64`
#   tensor `(n, d)`. Call each as often as you need, up to 300 times, with small tensors whose entries lie between −5 and 5.
# * Returns `None` if `df` is right. A right one may differ from `numerical_grad` and from autograd by $10^{-6}$.
# * Raises `AssertionError` if `df` is wrong (so `assert` does). A wrong one is off by more than $10^{-4}$ somewhere, at
#   nearly every point where its bug shows. Another exception does not count: mind wrong shapes before you compare values.
# * It may draw from PyTorch's global generator, and seed it. Otherwise no side effects.


# %% nbgrader={"grade": false, "grade_id": "bug", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="bug"
def check_gradient(f: Callable[[Tensor], Tensor], df: Callable[[Tensor], Tensor]) -> None:
    """Put a claimed gradient to the test.

    Args:
        f: maps a float64 tensor (n, d) to a scalar tensor.
        df: said to be the gradient of ``f``: maps (n, d) to (n, d).

    Raises:
        AssertionError: ``df`` is not the gradient of ``f``.
    """
    ### BEGIN SOLUTION
    generator = torch.Generator().manual_seed(0)
    x = 2 * torch.randn(5, 4, generator=generator, dtype=torch.float64).clamp(-2, 2)
    claimed = df(x)
    assert claimed.shape == x.shape, "wrong shape"
    assert claimed.dtype == x.dtype, "wrong dtype"
    with torch.enable_grad():
        leaf = x.clone().requires_grad_()
        (expected,) = torch.autograd.grad(f(leaf), leaf)
    assert torch.allclose(claimed, expected, rtol=0, atol=1e-5), "wrong values"
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-bug", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("bug")

# %% [markdown]
# **To think about** (not marked). `numerical_grad` needs $2nd$ calls of $f$. Two calls suffice to test a gradient along
# one random direction $u$: $f(x + \varepsilon u) - f(x - \varepsilon u) \approx 2\varepsilon \langle \nabla f, u\rangle$.
# (`torch.autograd.gradcheck` has a fast mode that does this.) Could a wrong gradient pass such a test? How likely is it?

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
