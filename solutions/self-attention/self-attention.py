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
# # Self-attention
#
# "The cat that chased the mice **was** tired." To choose *was* over *were*, a reader has to go back five words, past
# the nearer noun, to *cat*. A convolution looks at a fixed neighbourhood, and a recurrent network has to carry the cat
# along from word to word. Attention lets each token *ask*: it compares a question of its own (a **query**) with a label
# on every token (a **key**), and takes home a weighted mean of what these tokens have to say (their **values**):
#
# $$
# \underbrace{A}_{(L,\,M)} = \operatorname{softmax}\!\Bigl(\tfrac{1}{\sqrt d}\,
# \underbrace{Q}_{(L,\,d)}\,\underbrace{K^\top}_{(d,\,M)}\Bigr),
# \qquad
# \underbrace{O}_{(L,\,e)} = A\,\underbrace{V}_{(M,\,e)} .
# $$
#
# $L$ queries meet $M$ keys of the same width $d$; each key has a value of width $e$. Each row of $A$ sums to one. Think
# of a dictionary that is asked in a soft way: not the one entry whose key matches, but all of them, each as far as it
# matches. When queries, keys and values are all made from the same sequence, this is *self*-attention.
#
# That is the whole idea, and it is the engine of every large language model. What takes care are the edges: which
# tokens may be seen, what happens when none may, how a set of tokens gets an order, how several heads share one matrix
# product, and how not to pay for $n^2$ pairs.
#
# **What you will be able to do**: write attention that survives any mask and any logits; build causal, padding and
# local masks and combine them; encode positions and say what that changes; write a multi-head layer that takes over the
# weights of PyTorch's own; and compute attention in a window with memory that grows like $n$, not $n^2$.

# %% [markdown]
# ## How this notebook works
#
# | exercise | you write | difficulty | minutes | points |
# | --- | --- | --- | --- | --- |
# | 1 | `scaled_dot_product_attention` | ★★★ | 40 | 27 |
# | 2 | `causal_mask`, `padding_mask`, `local_mask` | ★☆☆ | 15 | 8 |
# | 3 | `positional_encoding` | ★★☆ | 20 | 9 |
# | 4 | `MultiHeadSelfAttention` | ★★★ | 45 | 31 |
# | 5 | `truncated_self_attention` | ★★★ | 40 | 15 |
# | 6 | short answers | ★★☆ | 25 | 6 |
# | 7 | `check_attention` | ★★☆ | 20 | 4 |
#
# Each exercise ends with a cell that runs the *public* checks on your code: ✔ it holds, ✘ it does not (with a hint), ○
# not attempted yet. They are worth about 30 of the 100 points. The other points come from checks that you don't see:
# other shapes, masks and dtypes, extreme logits, gradients, side effects, cost. Everything they ask for is written in
# the specification of the exercise. (Three points of exercise 6 are given by a person.) The first check of an exercise
# is its *gate*: while it fails, the other checks of the exercise do not count. Plots and public checks are not run when
# your notebook is marked.
#
# **Rules for every function**
#
# * It leaves its arguments alone (values, `requires_grad`, `.grad`), masks included, and PyTorch's global state as
#   well: random number generator, grad mode, default dtype. Its result shares no memory with its arguments.
# * It keeps the dtype of its floating-point input, float32 or float64. It takes tensors that are not contiguous, such
#   as `x.transpose(1, 2)`.
# * It is made of differentiable PyTorch operations, so that autograd works through it.
# * You may call functions of earlier exercises, or not, as you like.
#
# **Not allowed, in any exercise**, because it would be the answer: `F.scaled_dot_product_attention`,
# `nn.MultiheadAttention`, `F.multi_head_attention_forward`, `nn.Transformer` and its encoder and decoder layers, and
# flex attention. `torch.softmax` **is** allowed: you have written it before. Comparing your result with a forbidden
# function *in a cell of your own* is a fine idea; delete that cell before you hand in.
#
# **Conventions of the course.** A boolean mask is `True` where attention is **allowed** (`nn.MultiheadAttention` has it
# the other way round), and a row in which nothing is allowed gives zeros. A *causal* mask lets a token see itself and
# what came before it. Logarithms are natural. Dropout's $p$ is the probability of *dropping*; here there is no dropout.
# "Convolution" is cross-correlation.

# %%
import math
from collections.abc import Callable

import torch
from given import fit, reversal, suspect_case
from torch import Tensor, nn
from torch.nn import functional as F

# %% [markdown]
# ## 1. Scaled dot-product attention
#
# *Goal: the one formula that everything else here is built on · ★★★ · 40 minutes · 27 points*
#
# Why the root of $d$? Let the entries of $q$ and $k$ be independent with mean 0 and variance 1. Then $q \cdot k =
# \sum_{c=1}^{d} q_c k_c$ is a sum of $d$ terms with mean 0 and variance 1: its standard deviation is $\sqrt d$. Without
# the division, wide heads would start with large logits, a softmax that is nearly one-hot, and hardly any gradient.
# (Dividing by $d$ would go too far: all weights would start out equal.)
#
# **Masks.** Some pairs must not count: tokens of the future, or the padding that makes the sequences of a batch equally
# long. With $m_{ij} \in \{\text{True}, \text{False}\}$ saying whether query $i$ may see key $j$,
#
# $$
# s_{ij} = \frac{1}{\sqrt d} \sum_{c=1}^{d} q_{ic} k_{jc},
# \qquad
# a_{ij} = \frac{m_{ij}\, e^{s_{ij}}}{\sum_{j'} m_{ij'}\, e^{s_{ij'}}},
# \qquad
# o_i = \sum_{j=1}^{M} a_{ij} v_j .
# $$
#
# A masked pair gets *exactly* no weight, and the others share all of it. Neither works with a mask that multiplies the
# scores (a score of 0 is an ordinary score: $e^0 = 1$), nor with one that multiplies the weights (they no longer sum to
# one). Subtracting a large number from masked scores works as long as it is large *enough*: $-10^4$ is not, when an
# honest score is $-10^5$ or a masked one $10^{12}$.
#
# One case is left: a row in which **nothing** is allowed. The formula says $0/0$, and the softmax of a row of $-\infty$
# is `nan`. We define the weights and the output of such a row as **zero**. Beware of repairing the `nan` *afterwards*
# (`torch.where`, `nan_to_num`): the output looks right then, but the backward pass of the softmax multiplies by what it
# gave, and $0 \cdot \mathtt{nan}$ is `nan`. Unless something stops it on its way back (`masked_fill` does; adding
# $-\infty$ does not), one fully masked row poisons the gradient of the whole model. It is better if no `nan` ever
# arises.
#
# **Specification** · `scaled_dot_product_attention(q, k, v, mask=None, *, return_weights=False)`
#
# * `q`: `(..., L, d)`, `k`: `(..., M, d)`, `v`: `(..., M, e)`, of one floating-point dtype; `...` stands for the same
#   batch dimensions in all three, none to three of them. All sizes are at least 1; $e$ and $d$, $L$ and $M$ may differ.
# * `mask`: `None` (everything is allowed) or a boolean tensor, `True` where attention is allowed, that can be broadcast
#   to `(..., L, M)`. Another dtype raises `TypeError`.
# * Returns the output `(..., L, e)`; with `return_weights` the tuple of the output and the weights $A$, `(..., L, M)`.
#   Both have the dtype of `q` and are differentiable.
# * Weights are exactly 0 where the mask is `False`, whatever finite numbers stand in `k` and `v` there (say $10^{12}$).
# * In a fully masked row, weights and output are 0. All gradients are finite, also when there are such rows, and they
#   are 0 for the query of such a row.
# * Values and gradients are right for scores of $\pm 10^5$, up to the rounding of such numbers.
# * **Cost**: the number of PyTorch operations does not grow with any size (no loop over batch, queries or keys), and
#   without a backward pass, all your intermediate tensors together never take more than 6.5 times the memory of the
#   scores, with a mask or without. On the clock: at most 20 times as long as our solution; read from outside, at most
#   four times its memory.
#
# This slow loop defines the result for `q (L, d)`, `k (M, d)`, `v (M, e)` and `mask (L, M)`, up to rounding:
#
# ```python
# output = torch.zeros(L, e)
# for i in range(L):
#     allowed = [j for j in range(M) if mask[i, j]]
#     scores = [float(q[i] @ k[j]) / math.sqrt(d) for j in allowed]
#     total = sum(math.exp(s - max(scores)) for s in scores)
#     for j, s in zip(allowed, scores):
#         output[i] += math.exp(s - max(scores)) / total * v[j]
# ```


# %% nbgrader={"grade": false, "grade_id": "attention", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="attention"
def scaled_dot_product_attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, *, return_weights: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """Average the values, weighted by how well their keys match each query.

    Args:
        q: (..., L, d) queries.
        k: (..., M, d) keys.
        v: (..., M, e) values.
        mask: boolean, broadcastable to (..., L, M), True where attention is allowed; None allows everything.
        return_weights: also return the weights.

    Returns:
        The output (..., L, e), or the output and the weights (..., L, M). Fully masked rows are zero in both.

    Raises:
        TypeError: ``mask`` is not boolean.
    """
    ### BEGIN SOLUTION
    weights = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        if mask.dtype != torch.bool:
            raise TypeError(f"the mask must be boolean, not {mask.dtype}")
        weights = weights.masked_fill(~mask, torch.finfo(weights.dtype).min)
    weights = weights.softmax(dim=-1)
    if mask is not None:
        weights = weights.masked_fill(~mask, 0)
    return (weights @ v, weights) if return_weights else weights @ v
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-attention", "locked": true, "points": 27, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("attention")

# %% [markdown]
# **See it.** Random queries and keys of width $d$ from 2 to 1024, sixteen keys for each query, entries with variance 1.
# The horizontal axis is $d$ on a logarithmic scale, the vertical one the largest weight of a row, averaged over 200
# queries. Your attention stays level, at about 0.25. Without the division by $\sqrt d$ the curve climbs towards 1: the
# softmax has made up its mind before anything was learnt. Divided by $d$ it falls to $1/16$, the dotted line: everybody
# gets the same.

# %% tags=["see"]
import matplotlib.pyplot as plt

generator = torch.Generator().manual_seed(0)
widths = [2**power for power in range(1, 11)]
curves = {"yours": [], "not divided": [], "divided by d": []}
for d in widths:
    q, k = torch.randn(200, 1, d, generator=generator), torch.randn(200, 16, d, generator=generator)
    for label, factor in (("yours", 1.0), ("not divided", d**0.5), ("divided by d", d**-0.5)):
        _, weights = scaled_dot_product_attention(factor * q, k, k, return_weights=True)
        curves[label].append(weights.amax(dim=-1).mean().item())

figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
for label, curve in curves.items():
    axes.plot(widths, curve, label=label)
axes.axhline(1 / 16, linestyle=":", color="grey")
axes.set_xscale("log", base=2)
axes.set_xlabel("width d")
axes.set_ylabel("largest weight")
axes.legend()
plt.show()

# %% [markdown]
# **To think about** (not marked). Add the same vector to all keys. What happens to the weights, and what does this say
# about the bias of the linear map that makes the keys? And what happens if you add the same vector to all queries?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 2. Masks
#
# *Goal: who may see whom, in three lines each · ★☆☆ · 15 minutes · 8 points*
#
# * **Causal**: a model that predicts the next token must not look at it. Token $i$ sees tokens $j \le i$: *itself*, and
#   what came before. (A mask that hides the token itself would leave the first one with nothing to see.)
# * **Padding**: sequences of a batch have different lengths; the short ones are filled up at the end. Sequence $b$
#   consists of its first $\ell_b$ tokens, and nobody may see the rest.
# * **Local**: token $i$ sees its neighbours up to a distance of $w$, $\lvert i - j \rvert \le w$: $2w + 1$ tokens where
#   the sequence does not end before.
#
# Masks are combined with `&`. Where shapes differ, broadcasting does the rest: `(B, 1, 1, L)` says the same for each
# head and each query of a sequence, `(L, L)` the same for all sequences and heads.
#
# **Specification** · all three return a new boolean tensor, `True` where attention is allowed, and have no side effects
#
# * `causal_mask(n) -> (n, n)`: row $i$ is the query, column $j$ the key.
# * `padding_mask(lengths, L) -> (B, 1, 1, L)`: `lengths` is an `int64` tensor `(B,)` with $0 \le \ell_b \le L$.
# * `local_mask(n, window) -> (n, n)`: `window` is an int, at least 0, and may be larger than `n`.


# %% nbgrader={"grade": false, "grade_id": "masks", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="masks"
def causal_mask(n: int) -> Tensor:
    """Let each token see itself and what came before it.

    Args:
        n: the number of tokens.

    Returns:
        Boolean (n, n): may query i (row) see key j (column)?
    """
    ### BEGIN SOLUTION
    return torch.ones(n, n, dtype=torch.bool).tril()
    ### END SOLUTION


def padding_mask(lengths: Tensor, L: int) -> Tensor:
    """Let nobody see the padding at the end of a sequence.

    Args:
        lengths: int64 (B,), the number of real tokens of each sequence, 0 … L.
        L: the common length of the padded sequences.

    Returns:
        Boolean (B, 1, 1, L).
    """
    ### BEGIN SOLUTION
    return torch.arange(L) < lengths.view(-1, 1, 1, 1)
    ### END SOLUTION


def local_mask(n: int, window: int) -> Tensor:
    """Let each token see those at a distance of at most ``window``.

    Args:
        n: the number of tokens.
        window: the largest distance, at least 0.

    Returns:
        Boolean (n, n).
    """
    ### BEGIN SOLUTION
    position = torch.arange(n)
    return (position - position[:, None]).abs() <= window
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-masks", "locked": true, "points": 8, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("masks")

# %% [markdown]
# **To think about** (not marked). With the padding at the *end*, does a causal model need a padding mask at all, if we
# ignore what it says at the padded places? And with the padding at the beginning? (Which rows are fully masked then?)

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 3. Positional encoding
#
# *Goal: tell a token where it stands · ★★☆ · 20 minutes · 9 points*
#
# Nothing in exercise 1 knows about order. Shuffle the tokens, and the outputs are shuffled with them: self-attention
# without a mask is *equivariant* to permutations. To "dog bites man" and "man bites dog" it says the same. So we add to
# each token a vector that depends on its position $p = 0, 1, 2, \dots$: sines and cosines, like the hands of many
# clocks, each slower than the one before,
#
# $$
# P_{p,\,2i} = \sin \omega_i\, p,
# \qquad
# P_{p,\,2i+1} = \cos \omega_i\, p,
# \qquad
# \omega_i = \text{base}^{-2i/d}, \quad i = 0, 1, \dots
# $$
#
# Sine and cosine *take turns* along the row. If $d$ is odd, the last sine stands without its cosine, and $\omega_i$
# still has $d$ in the exponent. A step of $k$ positions turns each hand by the angle $\omega_i k$, wherever it started:
# $P_{p+k}$ is $P_p$ times a rotation matrix that depends on $k$ only. A linear layer can therefore learn to look "three
# tokens back".
#
# **Precision.** $\sin(60\,000)$ is a perfectly ordinary number, but float32 has only 24 bits: around 60 000 its numbers
# are 0.004 apart, and an angle $\omega_i p$ computed in float32 is off by as much. Compute in float64, and round at the
# end.
#
# **Specification** · `positional_encoding(n, d, base=10000.0) -> Tensor`
#
# * `n`, `d`: ints, at least 1; `d` may be odd. `base`: a number above 1.
# * Returns $P$ as a float32 tensor `(n, d)`, each entry right to $10^{-6}$, for positions up to 100 000. No side
#   effects.
#
# This slow loop defines the result:
#
# ```python
# for p in range(n):
#     for c in range(d):
#         angle = p / base ** (2 * (c // 2) / d)
#         P[p, c] = math.sin(angle) if c % 2 == 0 else math.cos(angle)
# ```


# %% nbgrader={"grade": false, "grade_id": "positional", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="positional"
def positional_encoding(n: int, d: int, base: float = 10000.0) -> Tensor:
    """Encode the positions 0 … n−1 as sines and cosines of d/2 frequencies.

    Args:
        n: the number of positions.
        d: the width of the encoding; may be odd.
        base: the slowest hand turns nearly ``base`` times slower than the fastest.

    Returns:
        float32 (n, d): sine and cosine take turns along a row.
    """
    ### BEGIN SOLUTION
    even = torch.arange(0, d, 2, dtype=torch.float64)
    angles = torch.arange(n)[:, None] * base ** (-even / d)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :d].float()
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-positional", "locked": true, "points": 9, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("positional")

# %% [markdown]
# **See it.** On the left the encoding of 100 positions (downwards) with 64 columns (to the right). The first columns
# flicker on their way down; each pair of columns changes more slowly than the one before, and on the right hardly at
# all: there sines near 0 (pale) and cosines near 1 (red) take turns. On the right the dot products of the encodings of
# all pairs of positions: a bright diagonal that fades to both sides. The picture is the same along each diagonal: the
# product depends on the distance only.

# %% tags=["see"]
P = positional_encoding(100, 64)

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
left.imshow(P.numpy(), cmap="coolwarm", aspect="auto")
left.set_xlabel("column")
left.set_ylabel("position")
right.imshow((P @ P.T).numpy())
right.set_xlabel("position")
right.set_ylabel("position")
plt.show()

# %% [markdown]
# **To think about** (not marked). Why does $P_p \cdot P_{p'}$ depend on $p - p'$ only? (Use $\sin a \sin b + \cos a
# \cos b = \cos(a - b)$.) Is it still so when $d$ is odd?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 4. Multi-head self-attention
#
# *Goal: a layer that can stand in for PyTorch's own · ★★★ · 45 minutes · 31 points*
#
# One softmax gives one mean, and a mean can follow one question only: *who is the subject?* or *what stands right
# before me?* So we ask $H$ questions side by side. Each **head** has its own queries, keys and values, of width $d_h =
# D / H$:
#
# $$
# \begin{aligned}
# \underbrace{Q}_{(B,\,L,\,D)} &= X W_q^\top + b_q, \qquad K = X W_k^\top + b_k, \qquad V = X W_v^\top + b_v, \\
# O_h &= \operatorname{attention}\bigl(Q_h,\, K_h,\, V_h\bigr), \quad h = 1, \dots, H, \\
# Y &= \underbrace{[\,O_1 \mid O_2 \mid \dots \mid O_H\,]}_{(B,\,L,\,D)}\, W_o^\top + b_o .
# \end{aligned}
# $$
#
# $Q_h$ are the columns $(h-1)\, d_h, \dots, h\, d_h - 1$ of $Q$: consecutive columns belong to one head. There is one
# large matrix product for all heads, and heads become a *batch dimension*: $(B, L, D) \to (B, L, H, d_h) \to (B, H, L,
# d_h)$. Reshaping $(B, L, D)$ straight into $(B, H, L, d_h)$ has the right shape as well, and mixes tokens with heads.
# It is the most common bug of this exercise. The second is to scale by $\sqrt D$: the width of a *head* counts.
#
# **Specification** · `class MultiHeadSelfAttention(d_model, n_heads, bias=True)`, an `nn.Module`
#
# * Its parameters are those of four linear maps, `q_proj`, `k_proj`, `v_proj` and `out_proj`, each an
#   `nn.Linear(d_model, d_model, bias=bias)`. The `state_dict` holds these eight tensors (four without bias), and
#   nothing else.
# * A `d_model` that is not divisible by `n_heads` raises `ValueError`.
# * `forward(x, mask=None, causal=False) -> Tensor`: `x` is `(B, L, D)`, and so is the result.
# * `mask`: `None` or boolean, `True` where attention is allowed, broadcastable to `(B, H, L, L)`: `(L, L)`, `(B, 1, 1,
#   L)` and `(B, H, L, L)` are usual. Another dtype raises `TypeError`. `causal=True` lets a token see only itself and
#   what came before, **and** what the mask allows.
# * A token that may see nothing gets zeros from all heads, and so the bias of `out_proj` (or 0) as its result;
#   gradients are finite. That is what happens to padding on the *left* together with a causal mask.
# * With the weights of an `nn.MultiheadAttention`, it computes the same (PyTorch stacks the three matrices of queries,
#   keys and values in `in_proj_weight`).
# * Nothing is remembered from one call to the next, sequences of a batch do not see each other, and `train()` and
#   `eval()` make no difference. `module.double()` works in float64. The rules for every function hold for a call of the
#   module.
# * **Cost**: the number of PyTorch operations does not grow with the batch, the length or the number of heads. On the
#   clock: at most six times as long as our solution.


# %% nbgrader={"grade": false, "grade_id": "multihead", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="multihead"
class MultiHeadSelfAttention(nn.Module):
    """Self-attention with several heads side by side.

    Args:
        d_model: the width D of a token.
        n_heads: the number of heads; it divides ``d_model``.
        bias: whether the four linear maps have a bias.

    Raises:
        ValueError: ``d_model`` is not divisible by ``n_heads``.
    """

    def __init__(self, d_model: int, n_heads: int, bias: bool = True) -> None:
        super().__init__()
        ### BEGIN SOLUTION
        if d_model % n_heads != 0:
            raise ValueError(f"{d_model} features cannot be shared evenly by {n_heads} heads")
        self.n_heads = n_heads
        self.q_proj = nn.Linear(d_model, d_model, bias=bias)
        self.k_proj = nn.Linear(d_model, d_model, bias=bias)
        self.v_proj = nn.Linear(d_model, d_model, bias=bias)
        self.out_proj = nn.Linear(d_model, d_model, bias=bias)
        ### END SOLUTION

    def forward(self, x: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        """Let each token look at the tokens of its sequence.

        Args:
            x: (B, L, D) tokens.
            mask: boolean, broadcastable to (B, H, L, L), True where attention is allowed.
            causal: also hide from each token what comes after it.

        Returns:
            (B, L, D).
        """
        ### BEGIN SOLUTION
        if causal:
            past = causal_mask(x.shape[1])
            mask = past if mask is None else mask & past
        q, k, v = (
            project(x).unflatten(2, (self.n_heads, -1)).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        heads = scaled_dot_product_attention(q, k, v, mask)
        return self.out_proj(heads.transpose(1, 2).flatten(2))
        ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-multihead", "locked": true, "points": 31, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("multihead")

# %% [markdown]
# **See it.** A task that is all about position: twelve random digits come in, and the same digits are due *backwards*.
# The model is an embedding, your layer with one head, and a linear map to ten logits, trained on 120 small batches. On
# the left the loss. With positions it falls to almost nothing; without them it stays near 2, not far below $\log 10
# \approx 2.3$: the model sees which digits there are, and has no idea which of them is due where. On the right the
# weights of the first model for one sequence, queries downwards and keys to the right: the bright line from the upper
# right to the lower left is the reversal. Nobody has told the model; it has learnt where to look.

# %% tags=["see"]


class Reverser(nn.Module):
    """Label each token of a sequence with one of ten digits."""

    def __init__(self, positions: Tensor) -> None:
        super().__init__()
        self.positions = positions
        self.embedding = nn.Embedding(10, 32)
        self.attention = MultiHeadSelfAttention(32, 1)
        self.readout = nn.Linear(32, 10)

    def tokens(self, digits: Tensor) -> Tensor:
        """Embed digits (n, 12) as tokens (n, 12, 32) that know where they stand."""
        return self.embedding(digits) + self.positions

    def forward(self, digits: Tensor) -> Tensor:
        """Map digits (n, 12) to logits (n, 12, 10)."""
        return self.readout(self.attention(self.tokens(digits)))


torch.manual_seed(0)
generator = torch.Generator().manual_seed(1)
encoding = positional_encoding(12, 32, base=30)
models = {"with positions": Reverser(encoding), "without": Reverser(torch.zeros_like(encoding))}
digits, backwards = reversal(200, 12, 10, generator)

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
for label, model in models.items():
    left.plot(fit(model, lambda: reversal(32, 12, 10, generator), steps=120, lr=1e-2), label=label)
    print(f"{label}: {(model(digits).argmax(-1) == backwards).float().mean():.0%} of new digits are right")
left.set_xlabel("batch")
left.set_ylabel("loss")
left.legend()

model = models["with positions"]
tokens, layer = model.tokens(digits[:1]), model.attention
_, weights = scaled_dot_product_attention(layer.q_proj(tokens), layer.k_proj(tokens), tokens, return_weights=True)
right.imshow(weights[0].detach().numpy(), vmin=0, vmax=1)
right.set_xlabel("key")
right.set_ylabel("query")
plt.show()

# %% [markdown]
# **To think about** (not marked). The layer has $4D^2 + 4D$ parameters, whatever $H$ is. What do you gain with more
# heads, and what do you lose? And what would a causal mask do to the model that reverses?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 5. Attention in a window
#
# *Goal: long sequences, without a matrix of all pairs · ★★★ · 40 minutes · 15 points*
#
# For $n = 65\,536$ tokens the matrix $A$ has $4 \cdot 10^9$ entries: 17 GB in float32, for one head of one layer. If
# each token sees only those at a distance of at most $w$, all but $n(2w + 1)$ entries are zero. Computing them all and
# masking them saves nothing: the point is never to *have* them.
#
# $$
# o_i = \sum_{j \,:\, \lvert i - j \rvert \le w} a_{ij} v_j,
# \qquad
# a_{ij} = \frac{e^{s_{ij}}}{\sum_{j' :\, \lvert i - j' \rvert \le w} e^{s_{ij'}}},
# \qquad
# s_{ij} = \frac{q_i \cdot k_j}{\sqrt d} .
# $$
#
# Two ways that work: a short loop over the $2w + 1$ *offsets* $j - i$, each of them one product of `q` with `k` shifted
# by that many places; or blocks of $w$ queries that meet the three blocks of keys around them. At both ends of the
# sequence the window is cut off: there are fewer keys, and the weights of those must still sum to one. A key that you
# have added to fill up the window must get no weight. (A key of zeros has a score of 0, and so a weight.)
#
# **Specification** · `truncated_self_attention(q, k, v, window) -> Tensor`
#
# * `q`, `k`: `(..., n, d)`, `v`: `(..., n, e)`, floating point; `...` stands for none to three batch dimensions; $n \ge
#   1$. `window`: an int, at least 0; it may be as large as $n$ or larger.
# * Returns `(..., n, e)`, the same as `scaled_dot_product_attention(q, k, v, local_mask(n, window))` up to rounding, in
#   the dtype of `q`; gradients as well. Right for scores of $\pm 10^5$, up to the rounding of such numbers. No side
#   effects.
# * **Cost**, for a fixed window and without a backward pass: memory and FLOPs grow like $n$. When $n$ grows by a factor
#   of $f$, the peak memory of all your intermediate tensors, and the FLOPs of matrix products, grow by at most
#   $f^{1.25}$ (with a full matrix it is $f^2$). And at most $100 + 60\,(2w + 1) + 4n$ PyTorch operations are used: a
#   loop over offsets or blocks is fine, a loop over single rows is not. On the clock: time grows at most like
#   $n^{1.6}$, and 1 024 tokens take at most 20 times as long as with our solution; read from outside, memory grows at
#   most like $n^{1.5}$.


# %% nbgrader={"grade": false, "grade_id": "truncated", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="truncated"
def truncated_self_attention(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    """Attend to the tokens at a distance of at most ``window``, with memory that grows like n · window.

    Args:
        q: (..., n, d) queries.
        k: (..., n, d) keys.
        v: (..., n, e) values.
        window: the largest distance, at least 0.

    Returns:
        (..., n, e).
    """
    ### BEGIN SOLUTION
    n, d = q.shape[-2:]
    window = min(window, n - 1)
    offsets = range(2 * window + 1)
    keys, values = (F.pad(x, (0, 0, window, window)) for x in (k, v))
    scores = torch.stack([(q * keys[..., o : o + n, :]).sum(dim=-1) for o in offsets], dim=-1) / math.sqrt(d)
    position = torch.arange(n)[:, None] + torch.arange(-window, window + 1)
    weights = scores.masked_fill((position < 0) | (position >= n), -math.inf).softmax(dim=-1)
    return sum(weights[..., o, None] * values[..., o : o + n, :] for o in offsets)
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-truncated", "locked": true, "points": 15, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("truncated")

# %% [markdown]
# **To think about** (not marked). One such layer with $w = 4$ lets a token see 4 places far. How far can it see after
# six layers? (You have met this as the *receptive field* of a convolutional network.)

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 6. Short answers
#
# *Goal: say what you have built · ★★☆ · 25 minutes · 6 points (3 by checks, 3 by a person)*
#
# **A convolution is a special case.** Let a head ignore what the tokens say and look only at where they stand: head $h$
# gives the weight 1 to the token at a fixed offset $\Delta_h$ from the query, and 0 to all others. Its output is then
# the input, shifted by $\Delta_h$ and multiplied by the head's value matrix. `out_proj` adds up the heads, each with a
# matrix of its own:
#
# $$
# y_i = \sum_h W_h\, x_{i + \Delta_h}
# $$
#
# This is a convolution, with one head for each entry of the kernel. A convolution learns *what* to take from each of a
# few fixed places; attention learns *where* to look, and decides it anew for each input.
#
# **Specification** · `short_answers() -> dict` takes no arguments and returns a new dictionary with four keys:
#
# * `"variance"` (int): the entries of $q$ and $k$ are independent with mean 0; those of $q$ have variance 4 and those
#   of $k$ have variance 1; $d = 64$. What is the variance of $q \cdot k$, before any scaling? (Exactly. The public
#   check estimates it from random vectors, and you may as well.)
# * `"heads"` (int): how many heads does the construction above need for a convolution of images with a kernel of $3
#   \times 7$?
# * `"pairs"` (int): in truncated attention over $n = 4096$ tokens with $w = 64$, how many pairs $(i, j)$ have $\lvert i
#   - j \rvert \le w$? (Exactly, both ends included.)
# * `"true"` (str): the letters of all statements that are true, such as `"bch"`, in any order:
#   - **a** Without a mask and without positions, shuffling the tokens of a sequence shuffles the outputs in the same
#     way.
#   - **b** With a causal mask (and still without positions), that holds as well.
#   - **c** With a positional encoding added to the tokens (first shuffled, then added), that holds as well.
#   - **d** For even $d$ there is, for each $k$, one matrix that maps $P_p$ to $P_{p+k}$ for all positions $p$.
#   - **e** Multiplying all queries by 10 leaves the weights as they are, because the softmax normalises them.
#   - **f** Adding the same vector to all keys leaves the weights as they are.
#   - **g** Each column of the matrix of weights sums to one.
#   - **h** Where one score of a row is larger than all others by far, the gradient of that row of weights with respect
#     to the scores is close to zero.


# %% nbgrader={"grade": false, "grade_id": "answers", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="answers"
def short_answers() -> dict[str, int | str]:
    """Answer the four questions above.

    Returns:
        The keys "variance", "heads" and "pairs" with ints, and "true" with a string of letters.
    """
    ### BEGIN SOLUTION
    return {"variance": 256, "heads": 21, "pairs": 524224, "true": "adfh"}
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-answers", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("answers")

# %% [markdown] exercise="answers" nbgrader={"grade": true, "grade_id": "answers-text", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# **In your own words**, two or three sentences each (one point each, given by a person):
#
# 1. Why are the scores divided by $\sqrt d$, and not by $d$ or by nothing? What goes wrong otherwise, and when in
#    training?
# 2. In what sense is a convolution a special case of self-attention, and what does attention gain and pay for being
#    more general?
# 3. Which symmetry does a positional encoding break, and why do we want it broken? Name a task for which one had better
#    leave it alone.
#
# ### BEGIN SOLUTION
# 1. For independent entries with variance 1, the score is a sum of $d$ terms with standard deviation $\sqrt d$. Without
#    the division, the softmax of wide heads is nearly one-hot from the first step on, and its gradient vanishes;
#    divided by $d$ all weights start out nearly equal, and differences have to be learnt against the scaling.
# 2. With weights that depend only on the offset of two positions, one head for each entry of the kernel, multi-head
#    attention computes a convolution. Attention gains a reach over the whole sequence and weights that depend on the
#    content; it pays with $n^2$ pairs, and it has to learn from data what a convolution knows from the start:
#    neighbourhood and equivariance to shifts.
# 3. Equivariance to permutations: without positions, a sentence is a bag of words. Word order carries meaning, so we
#    want it broken. For sets (points of a cloud, players of a team) the order means nothing, and the symmetry should
#    stay.
# ### END SOLUTION

# %% [markdown]
# ## 7. Find the bug
#
# *Goal: write the test, not the code · ★★☆ · 20 minutes · 4 points*
#
# Here is a classmate's attention. For a single sentence, `q (L, d)`, it agrees with yours to the last bit.


# %%
def sideways_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """One of the suspects. What is wrong with it?"""
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    weights = scores.softmax(dim=1)
    if mask is not None:
        weights = weights.masked_fill(~mask, 0)
    return weights @ v


# %% [markdown]
# Write a check that tells right implementations from wrong ones, this one and others that you haven't seen.
#
# **Specification** · `check_attention(fn) -> None`
#
# * `fn`: a function `fn(q, k, v, mask=None)` that claims to return the output that exercise 1 asks for. It takes
#   float32 and float64, and autograd works through it.
# * Returns `None` if `fn` is right, and raises `AssertionError` if it is wrong (an `assert` does that). Any other
#   exception counts as *not caught*.
# * It must judge by calling `fn`, at least once and at most 20 times. It may draw random numbers, but it must not seed
#   the global generator.
#
# Your check is tried on several right implementations, and on wrong ones with one bug each, of these kinds: the scale
# is missing or is that of another size; the softmax is along the wrong dimension, for some shapes or for all; the
# exponential overflows for scores like 1000; the mask is ignored, inverted, taken from another sample of the batch, or
# hides keys not quite; a fully masked row gives something else than zeros, or gives gradients that are not finite.
# Every wrong one returns a tensor of the right shape and dtype. `suspect_case()` from `given.py` returns queries, keys,
# values and a mask for which most of this shows, not all.


# %% nbgrader={"grade": false, "grade_id": "bug", "locked": false, "schema_version": 3, "solution": true, "task": false} exercise="bug"
def check_attention(fn: Callable[..., Tensor]) -> None:
    """Raise AssertionError unless ``fn`` is a right implementation of scaled dot-product attention.

    Args:
        fn: called as fn(q, k, v) or fn(q, k, v, mask).
    """
    ### BEGIN SOLUTION
    q, k, v, mask = suspect_case()
    q.requires_grad_()
    for case in ((q, k, v), (1000 * q, k, v), (q, k, v, mask)):
        output = fn(*case)
        assert torch.allclose(output, scaled_dot_product_attention(*case))
        (gradient,) = torch.autograd.grad(output.sum(), q)
        assert gradient.isfinite().all()
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
