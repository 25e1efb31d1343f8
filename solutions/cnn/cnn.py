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
# # Convolutional networks
#
# A fully connected layer that reads a photograph of 1000 × 1000 pixels has a million weights for *each* of its units,
# and it does not know that two pixels are neighbours: shuffle all pixels, in the same way in every picture, and it
# learns just as well. A convolutional layer uses two things that are true of pictures. What belongs together lies
# together, so each unit looks at a small window only. And an edge is an edge wherever it is, so all windows share one
# small set of weights:
#
# $$
# \underbrace{y_{n\,o\,i\,j}}_{(N,\,O,\,H',\,W')} = b_o + \sum_{c=0}^{C-1} \sum_{a=0}^{k_h-1} \sum_{b=0}^{k_w-1}
# \underbrace{w_{o\,c\,a\,b}}_{(O,\,C,\,k_h,\,k_w)}\; \underbrace{x_{n\,c\,(i+a)(j+b)}}_{(N,\,C,\,H,\,W)} .
# $$
#
# $N$ pictures come in with $C$ *channels* (one for grey, three for colour) and go out with $O$ *feature maps*. In
# this notebook you write that operation with everything that PyTorch's has (stride, padding, dilation, groups), and
# without a loop over pixels; you put pooling beside it, make a layer of it that can take over the weights of an
# `nn.Conv2d`, and build LeNet from your own parts. At the end it reads handwriting.
#
# **What you will be able to do**: predict the size of every feature map and what part of the picture one of its
# numbers has seen; turn a convolution into one matrix product; write an `nn.Module` whose `state_dict` fits PyTorch's;
# say exactly in what sense a convolutional network does not care where things are.

# %% [markdown]
# ## How this notebook works
#
# | exercise | you write | difficulty | minutes | points |
# | --- | --- | --- | --- | --- |
# | 1 | `conv_output_size`, `receptive_field` | ★☆☆ | 20 | 8 |
# | 2 | `pad2d` | ★☆☆ | 10 | 5 |
# | 3 | `conv2d` | ★★★ | 60 | 31 |
# | 4 | `max_pool2d`, `avg_pool2d` | ★★☆ | 35 | 17 |
# | 5 | `Conv2d` | ★★☆ | 25 | 14 |
# | 6 | `LeNet` | ★★☆ | 25 | 13 |
# | 7 | `edge`, `blur`, `sharpen`, `apply_filter`, a short text | ★★☆ | 25 | 8 |
# | 8 | `check_conv2d` | ★★☆ | 20 | 4 |
#
# Each exercise ends with a cell that runs the *public* checks on your code: ✔ it holds, ✘ it does not (with a hint),
# ○ not attempted yet. They are worth 30 of the 100 points. 68 points come from checks that you don't see: other
# shapes and options, gradients, errors, side effects, cost. Everything they ask for is written in the specification of
# the exercise. The last 2 points are for a text that a person reads. The first check of an exercise is its *gate*:
# while it fails, the other checks of the exercise do not count. Plots and public checks are not run when your notebook
# is marked.
#
# **Rules for every function and layer**
#
# * It leaves its arguments alone (values, `requires_grad`, `.grad`), and PyTorch's global state as well: random number
#   generator, grad mode, default dtype. (Drawing a layer's first weights, and the random inputs of exercise 8, from
#   PyTorch's global generator is fine.) Its result shares no memory with its arguments.
# * It keeps the dtype of its floating-point input. It takes tensors that are not contiguous, such as permuted ones.
# * It is made of differentiable PyTorch operations, so that autograd works through it.
# * You may call functions of earlier exercises, or not, as you like.
# * Where something is an *int or a pair*, a pair is `(vertical, horizontal)`, and an int stands for both. The helper
#   `pair` in `given.py` does this for you.
#
# **Not allowed, in any exercise**, because it would be the answer: PyTorch's convolutions and poolings, under whatever
# name: `F.conv*`, `torch.conv*`, `nn.Conv*`, `F.*pool*`, `torch.*pool*`, `nn.*Pool*`, and the ATen operators behind
# them. Use instead `unfold`, `as_strided`, `F.unfold`, `F.pad`, `einsum`, matrix products, `torch.fft`, slices, and
# whatever else you like. Comparing your result with the forbidden function *in a cell of your own* is a fine idea;
# delete that cell before you hand in.
#
# **Conventions of the course.** "Convolution" is cross-correlation: the kernel is **not** flipped. (Mathematicians flip
# it. A network that learns its kernels does not mind; a program that shares them with PyTorch does.) Pictures are
# $(N, C, H, W)$. Dropout's $p$ is the probability of *dropping*. $\mathrm{ReLU}'(0) = 0$ and
# $\operatorname{sign}(0) = 0$. Logarithms are natural.

# %%
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

import given
from given import pair

# %% [markdown]
# ## 1. Sizes and receptive fields
#
# *Goal: know every shape before you run anything · ★☆☆ · 20 minutes · 8 points*
#
# A kernel of size $k$ with *dilation* $d$ has gaps of $d-1$ pixels between its taps, so from its first tap to its last
# it spans $d(k-1)+1$ pixels. With *padding* $p$ there are $n + 2p$ pixels in a row. The first window lies at the left
# end, each next one is *stride* $s$ further to the right, and the last one must still fit:
#
# $$
# n' = \left\lfloor \frac{n + 2p - d(k-1) - 1}{s} \right\rfloor + 1 .
# $$
#
# The 1 stands **outside** the floor and outside the fraction: it counts the first window, which needs no step. Many
# texts lose it or put it in the wrong place, and for $s = 1$ you would not notice.
#
# The *receptive field* of a number in a feature map is the part of the picture that it depends on. In one dimension,
# walk through the layers from the picture onwards and keep two numbers: the size $r$ of the receptive field and the
# distance $j$ (the *jump*) between the receptive fields of two neighbours. Before the first layer both are 1. A layer
# with kernel $k$, stride $s$ and dilation $d$ sees $k$ numbers of the layer before, which lie $d$ apart:
#
# $$
# r \leftarrow r + (k-1)\, d\, j, \qquad\text{then}\qquad j \leftarrow j\, s .
# $$
#
# A stride enlarges the receptive fields of all layers *after* it, not its own. Pooling layers count like convolutions.
#
# **Specification** · `conv_output_size(n, k, stride=1, padding=0, dilation=1) -> int`
#
# * `n`, `k`, `stride`, `dilation`: ints of at least 1. `padding`: an int of at least 0.
# * Returns the number of windows $n'$, an `int`.
# * Raises `ValueError` if not even one window fits: the dilated kernel is longer than $n + 2p$.
#
# **Specification** · `receptive_field(layers) -> int`
#
# * `layers`: a list of tuples `(k, s)` or `(k, s, d)`, from the first layer to the last; `(k, s)` has dilation 1.
# * Returns $r$ after the last layer, in pixels along one dimension, an `int`. Without any layer it is 1.
# * The list is left as it is.
#
# This slow loop defines $n'$:
#
# ```python
# count = 0
# start = -padding
# while start + dilation * (k - 1) < n + padding:
#     count += 1
#     start += stride
# ```


# %% exercise="sizes" nbgrader={"grade": false, "grade_id": "sizes", "locked": false, "schema_version": 3, "solution": true, "task": false}
def conv_output_size(n: int, k: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Count the windows of a convolution along one dimension.

    Args:
        n: pixels.
        k: taps of the kernel.
        stride: pixels from one window to the next.
        padding: pixels added at each end.
        dilation: pixels from one tap to the next.

    Returns:
        The size of the output, at least 1.

    Raises:
        ValueError: the dilated kernel is longer than the padded input.
    """
    ### BEGIN SOLUTION
    room = n + 2 * padding - dilation * (k - 1) - 1
    if room < 0:
        raise ValueError(f"a kernel of {k} with dilation {dilation} does not fit into {n} pixels padded by {padding}")
    return room // stride + 1
    ### END SOLUTION


def receptive_field(layers: Sequence[tuple[int, ...]]) -> int:
    """Compute how many pixels, along one dimension, a number behind all layers depends on.

    Args:
        layers: (kernel, stride) or (kernel, stride, dilation) of each layer, the first one first.

    Returns:
        The size of the receptive field; 1 without layers.
    """
    ### BEGIN SOLUTION
    size = jump = 1
    for k, stride, *dilation in layers:
        size += (k - 1) * math.prod(dilation) * jump
        jump *= stride
    return size
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-sizes", "locked": true, "points": 8, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("sizes")

# %% [markdown]
# **To think about** (not marked). Which padding keeps the size ($n' = n$) for stride 1 and an odd $k$? Why is there no
# such padding for an even $k$? And how many 3 × 3 layers see as much as one 7 × 7 layer; which of the two has more
# weights?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 2. Padding
#
# *Goal: a frame round every picture · ★☆☆ · 10 minutes · 5 points*
#
# Without padding every layer eats the border: ten 3 × 3 layers turn 28 pixels into 8. A frame of zeros keeps the size.
# What stands in the frame matters: zeros for a convolution, $-\infty$ for a maximum (you will see why).
#
# **Specification** · `pad2d(x, padding, value=0.0) -> Tensor`
#
# * `x`: a tensor `(..., H, W)` with any number of leading dimensions, at least none; any dtype that can hold `value`,
#   integers included.
# * `padding`: an int or a pair $(p_h, p_w)$ of ints of at least 0. The result has shape $(\dots, H + 2p_h, W + 2p_w)$
#   and the dtype of `x`: $p_h$ rows above and below, $p_w$ columns to the left and to the right, all filled with
#   `value`.
# * `value`: a number, possibly $\pm\infty$.
# * Differentiable. No side effects; also for `padding=0` the result is a new tensor.


# %% exercise="pad" nbgrader={"grade": false, "grade_id": "pad", "locked": false, "schema_version": 3, "solution": true, "task": false}
def pad2d(x: Tensor, padding: int | tuple[int, int], value: float = 0.0) -> Tensor:
    """Put a frame round the last two dimensions.

    Args:
        x: (..., H, W).
        padding: rows above and below, and columns left and right; an int stands for both.
        value: what the frame is filled with.

    Returns:
        A new tensor (..., H + 2 p_h, W + 2 p_w) of the dtype of ``x``.
    """
    ### BEGIN SOLUTION
    ph, pw = pair(padding)
    h, w = x.shape[-2:]
    padded = x.new_full((*x.shape[:-2], h + 2 * ph, w + 2 * pw), value)
    padded[..., ph : ph + h, pw : pw + w] = x
    return padded
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-pad", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("pad")

# %% [markdown]
# ## 3. Convolution
#
# *Goal: all windows at once, in one product · ★★★ · 60 minutes · 31 points*
#
# A loop over all output pixels would need thousands of operations for one small picture, each of them tiny. Two ideas
# get rid of it.
#
# **Windows are a view.** Element $(i, j, a, b)$ of the tensor of all windows is element
# $(i s_h + a d_h,\; j s_w + b d_w)$ of the padded picture. Both are linear in the indices, so the windows are the same
# memory with other strides: nothing is copied. `x.unfold(dim, size, step)` makes that view along one dimension; look at
# its shape for a small tensor, do it twice, and think about where the dilation goes. (`torch.as_strided` makes it in
# one go, and forgives nothing.)
#
# **Convolution is a matrix product.** Write every window as a column of length $C k_h k_w$ and every kernel as a row:
#
# $$
# \underbrace{Y}_{(O,\; H'W')} = \underbrace{\mathcal W}_{(O,\; C k_h k_w)}\;
# \underbrace{\mathcal X}_{(C k_h k_w,\; H'W')} ,
# $$
#
# once for each picture. The matrix $\mathcal X$ has a name, *im2col*; it holds every pixel up to $k_h k_w$ times.
#
# There are other ways: a loop over the $k_h k_w$ positions of the kernel, each of which shifts the whole picture; an
# `einsum` over the windows; a product in the Fourier domain. All of them are welcome here.
#
# **Groups** cut the channels into $g$ blocks that do not see each other: output channels $0, \dots, O/g - 1$ read input
# channels $0, \dots, C/g - 1$, the next $O/g$ read the next $C/g$, and so on. With $g = C$ every channel has kernels of
# its own; that is a *depthwise* convolution.
#
# **Specification** · `conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1) -> Tensor`
#
# * `x`: `(N, C, H, W)`; `weight`: `(O, C/groups, kh, kw)`; `bias`: `(O,)` or `None`. One floating-point dtype, float32
#   or float64, which the result has too.
# * `stride`, `padding`, `dilation`: an int or a pair each, and they may differ. The frame is filled with zeros.
# * Returns `(N, O, H', W')`, with $H'$ and $W'$ as in exercise 1.
# * Raises `ValueError` if $C$ is not `groups` times the second dimension of `weight`, if `groups` does not divide $O$,
#   if `bias` has another shape than `(O,)`, or if the output would be empty (no window fits).
# * Takes permuted, strided and expanded tensors. Differentiable in `x`, `weight` and `bias`. No side effects.
# * **Cost**: at most $60 + 25\,k_h k_w$ PyTorch operations, and no more of them for large pictures, many channels or
#   large batches than for small ones (up to a fifth more, and four). Loops over the positions of the kernel and over
#   groups are fine, loops over pixels, channels or samples are not. At no time do all your intermediate tensors
#   together take more than three times the memory of $\mathcal X$ (all pictures, all channels). On the clock: at most
#   20 times as long as our solution; read from outside, at most six times its memory.
#
# This slow loop defines the result:
#
# ```python
# for n, o, i, j in itertools.product(range(N), range(O), range(H_out), range(W_out)):
#     total = 0.0 if bias is None else bias[o]
#     first = o // (O // groups) * (C // groups)  # the first channel that o reads
#     for c, a, b in itertools.product(range(C // groups), range(kh), range(kw)):
#         total += weight[o, c, a, b] * padded[n, first + c, i * sh + a * dh, j * sw + b * dw]
#     result[n, o, i, j] = total
# ```
#
# In float64 your result should agree with the loop to about $10^{-13}$, in float32 to about $10^{-5}$.
#
# **For fun** (no points): marking times `conv2d` and the poolings against ours, and the class has a leaderboard of the
# fastest right answers. You stand there unnamed, or as you like: write `leaderboard_alias = "Gradient Ascetic"` in a
# cell of your own.
#
# The cell has room for a function `_windows` that you may find useful, in the next exercise too. It is not marked: use
# it as you like, or delete it.


# %% exercise="conv2d" nbgrader={"grade": false, "grade_id": "conv2d", "locked": false, "schema_version": 3, "solution": true, "task": false}
def _windows(x: Tensor, size: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]) -> Tensor:
    """View (N, C, H, W) as its windows (N, C, H', W', kh, kw); ValueError if not even one fits."""
    ### BEGIN SOLUTION
    (sh, sw), (dh, dw) = stride, dilation
    span_h, span_w = dh * (size[0] - 1) + 1, dw * (size[1] - 1) + 1
    if span_h > x.shape[2] or span_w > x.shape[3]:
        raise ValueError(f"no window of {span_h} × {span_w} fits into {tuple(x.shape)}")
    return x.unfold(2, span_h, sh).unfold(3, span_w, sw)[..., ::dh, ::dw]
    ### END SOLUTION


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlate pictures with kernels.

    Args:
        x: (N, C, H, W).
        weight: (O, C/groups, kh, kw).
        bias: (O,), or None.
        stride: pixels from one window to the next.
        padding: zeros round the picture.
        dilation: pixels from one tap of the kernel to the next.
        groups: blocks of channels that do not see each other.

    Returns:
        (N, O, H', W').

    Raises:
        ValueError: channels, groups and bias do not fit together, or no window fits into the picture.
    """
    ### BEGIN SOLUTION
    n, channels = x.shape[:2]
    outputs, per_group, *size = weight.shape
    if channels != groups * per_group or outputs % groups:
        raise ValueError(f"{channels} channels and {groups} groups do not fit a weight {tuple(weight.shape)}")
    if bias is not None and bias.shape != (outputs,):
        raise ValueError(f"need a bias ({outputs},), got {tuple(bias.shape)}")
    windows = _windows(pad2d(x, padding), size, pair(stride), pair(dilation))
    height, width = windows.shape[2:4]
    columns = windows.permute(0, 1, 4, 5, 2, 3).reshape(n, groups, -1, height * width)
    result = (weight.reshape(groups, outputs // groups, -1) @ columns).reshape(n, outputs, height, width)
    return result if bias is None else result + bias.reshape(-1, 1, 1)
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-conv2d", "locked": true, "points": 31, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("conv2d")

# %% [markdown]
# **See it.** A receptive field can be measured: send a picture through some layers, differentiate the number in the
# middle of the output, and see which pixels have a gradient. Three stacks of three 3 × 3 layers, all weights equal. On
# the left plain layers: a square of 7 × 7 pixels, brightest in the middle, where many paths lead. In the middle
# stride 2 in each layer: 15 × 15. On the right dilations 1, 2 and 4: 15 × 15 as well, and the output is still as
# large as the picture. Compare the titles with what you see.

# %% tags=["see"]
import matplotlib.pyplot as plt

stacks = {"plain": [(3, 1, 1)] * 3, "stride 2": [(3, 2, 1)] * 3, "dilation 1, 2, 4": [(3, 1, 1), (3, 1, 2), (3, 1, 4)]}
figure, panels = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained")
for axes, (name, layers) in zip(panels, stacks.items(), strict=True):
    picture = torch.zeros(1, 1, 31, 31, requires_grad=True)
    features = picture
    for k, s, d in layers:
        features = conv2d(features, torch.full((1, 1, k, k), 1 / k**2), stride=s, padding=d, dilation=d)
    middle = features.shape[-1] // 2
    (seen,) = torch.autograd.grad(features[0, 0, middle, middle], picture)
    axes.imshow(seen[0, 0].sqrt().numpy(), cmap="magma")
    axes.set_title(f"{name}: {receptive_field(layers)} pixels")
    axes.axis("off")
plt.show()

# %% [markdown]
# **To think about** (not marked). The gradient of a convolution with respect to its input is a convolution again, of
# what comes back with the kernels. What has to be done to the kernel? And what to the gradient, if the stride was 2?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 4. Pooling
#
# *Goal: smaller pictures, and a little less "where" · ★★☆ · 35 minutes · 17 points*
#
# A pooling layer has no weights. In each window of each channel it takes the maximum, or the mean. Windows usually
# do not overlap: the stride is the window's size, unless you say otherwise. For each channel on its own,
#
# $$
# y^{\max}_{ij} = \max_{a,b}\; x_{(i s_h + a)(j s_w + b)},
# \qquad
# y^{\text{avg}}_{ij} = \frac{1}{k_h k_w} \sum_{a,b}\; x_{(i s_h + a)(j s_w + b)} .
# $$
#
# At the border the frame must not be noticed. A frame of zeros would be the "maximum" of a window of negative
# numbers, so the maximum pads with $-\infty$. The mean has a choice: count the zeros of the frame as pixels (divide by
# $k_h k_w$ everywhere), or divide by the number of *real* pixels in the window.
#
# Three details. The gradient of a maximum goes to the pixel that is the maximum; where several are equal, any way to
# divide it among them is right, as long as the shares add up to 1. A `nan` in a window is a sign that something is
# broken, and must not be lost: the maximum of that window is `nan`. And a frame that is wider than half a window
# would make windows of nothing but frame, so it is an error.
#
# **Specification** · `max_pool2d(x, k, stride=None, padding=0) -> Tensor`,
# `avg_pool2d(x, k, stride=None, padding=0, count_include_pad=True) -> Tensor`
#
# * `x`: `(N, C, H, W)`, floating point. `k`, `stride`, `padding`: an int or a pair each; `stride=None` means
#   `stride=k`.
# * Returns `(N, C, H', W')` in the dtype of `x`, with sizes as in exercise 1.
# * `max_pool2d` pads with $-\infty$. A window with a `nan` gives `nan`; the other windows don't.
# * `avg_pool2d` pads with zeros and divides by $k_h k_w$, or, with `count_include_pad=False`, by the number of pixels
#   of the window that are not frame.
# * `ValueError` if $2 p_h > k_h$ or $2 p_w > k_w$, or if no window fits.
# * Differentiable. No side effects.
# * **Cost**: the number of PyTorch operations does not grow with the picture, the channels or the batch (up to a fifth
#   more, and four). On the clock: each takes at most six times as long as ours.


# %% exercise="pooling" nbgrader={"grade": false, "grade_id": "pooling", "locked": false, "schema_version": 3, "solution": true, "task": false}
def _pool_windows(
    x: Tensor,
    k: int | tuple[int, int],
    stride: int | tuple[int, int] | None,
    padding: int | tuple[int, int],
    value: float,
) -> Tensor:
    """View (N, C, H, W), padded with ``value``, as its windows (N, C, H', W', kh, kw); not marked."""
    ### BEGIN SOLUTION
    size, frame = pair(k), pair(padding)
    if 2 * frame[0] > size[0] or 2 * frame[1] > size[1]:
        raise ValueError(f"padding {frame} is more than half of the window {size}")
    return _windows(pad2d(x, frame, value), size, pair(k if stride is None else stride), (1, 1))
    ### END SOLUTION


def max_pool2d(
    x: Tensor,
    k: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None,
    padding: int | tuple[int, int] = 0,
) -> Tensor:
    """Take the maximum of each window.

    Args:
        x: (N, C, H, W).
        k: size of the windows.
        stride: pixels from one window to the next; None: ``k``.
        padding: frame of −inf, at most half a window wide.

    Returns:
        (N, C, H', W').

    Raises:
        ValueError: the frame is wider than half a window, or no window fits.
    """
    ### BEGIN SOLUTION
    return _pool_windows(x, k, stride, padding, -math.inf).amax((-2, -1))
    ### END SOLUTION


def avg_pool2d(
    x: Tensor,
    k: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None,
    padding: int | tuple[int, int] = 0,
    count_include_pad: bool = True,
) -> Tensor:
    """Take the mean of each window.

    Args:
        x: (N, C, H, W).
        k: size of the windows.
        stride: pixels from one window to the next; None: ``k``.
        padding: frame of zeros, at most half a window wide.
        count_include_pad: count the frame's zeros as pixels.

    Returns:
        (N, C, H', W').

    Raises:
        ValueError: the frame is wider than half a window, or no window fits.
    """
    ### BEGIN SOLUTION
    windows = _pool_windows(x, k, stride, padding, 0.0)
    if count_include_pad:
        return windows.mean((-2, -1))
    inside = _pool_windows(torch.ones_like(x), k, stride, padding, 0.0)
    return windows.sum((-2, -1)) / inside.sum((-2, -1))
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-pooling", "locked": true, "points": 17, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("pooling")

# %% [markdown]
# **To think about** (not marked). `max_pool2d(x, 2)` halves height and width, and so does `x[:, :, ::2, ::2]`. What
# does the network lose in each case? And a convolution with stride 2: is it more like the one or like the other?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 5. A layer
#
# *Goal: weights that PyTorch would accept as its own · ★★☆ · 25 minutes · 14 points*
#
# A layer is a function with parameters. If yours have the names and shapes of PyTorch's, then anybody's trained weights
# can be loaded into it and the other way round: that is what a `state_dict` is for.
#
# **How large should the first weights be?** A sum of $m$ independent terms of variance $\sigma^2$ has the variance
# $m\sigma^2$, and each output is a sum of $m = (C/g)\, k_h k_w$ products, the *fan-in*. For the output to be about as
# large as the input, the weights must have a standard deviation of about $1/\sqrt m$. PyTorch draws weights and biases
# from the uniform distribution on $\pm 1/\sqrt m$ (deviation $0.58/\sqrt m$); He's rule, made for ReLU, says
# $\sqrt{2/m}$. Take either, or anything between.
#
# **Specification** ·
# `class Conv2d(in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True)`, an
# `nn.Module`
#
# * Parameters, and nothing else in its `state_dict`: `weight`, `(out_channels, in_channels/groups, kh, kw)`, and
#   `bias`, `(out_channels,)`. With `bias=False` the attribute `bias` is `None`, and the `state_dict` holds `weight`
#   only.
# * `layer(x)` is `conv2d` of `x` with these parameters and options. `kernel_size`, `stride`, `padding`, `dilation`: an
#   int or a pair each.
# * `weight` is drawn from PyTorch's global generator, independently, with mean 0 and a standard deviation between
#   $0.5/\sqrt m$ and $1.5/\sqrt m$. `bias` is zero, or drawn in the same way with a standard deviation of at most
#   $1.5/\sqrt m$.
# * `ValueError`, already when the layer is made, if `groups` does not divide `in_channels` and `out_channels`.
# * Parameters are float32; after `layer.double()` the layer computes in float64, as any module does.


# %% exercise="module" nbgrader={"grade": false, "grade_id": "module", "locked": false, "schema_version": 3, "solution": true, "task": false}
class Conv2d(nn.Module):
    """A 2-D convolution with learnable kernels; its ``state_dict`` is that of ``nn.Conv2d``.

    Attributes:
        weight: (out_channels, in_channels/groups, kh, kw).
        bias: (out_channels,), or None.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        """Draw the first weights; ValueError if ``groups`` does not divide the channels."""
        ### BEGIN SOLUTION
        super().__init__()
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"{groups} groups do not divide {in_channels} and {out_channels} channels")
        self.options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        weight = torch.empty(out_channels, in_channels // groups, *pair(kernel_size))
        bound = weight[0].numel() ** -0.5
        self.weight = nn.Parameter(weight.uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(out_channels).uniform_(-bound, bound)) if bias else None
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H', W')."""
        ### BEGIN SOLUTION
        return conv2d(x, self.weight, self.bias, **self.options)
        ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-module", "locked": true, "points": 14, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("module")

# %% [markdown]
# **To think about** (not marked). A convolution with padding is a linear map from $CHW$ to $OH'W'$ numbers. For LeNet's
# second layer (6 to 16 channels, 5 × 5, from 14 × 14 to 10 × 10 pixels): how many weights has the convolution, and how
# many would a fully connected layer between the same numbers have?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 6. LeNet
#
# *Goal: a network from your own parts · ★★☆ · 25 minutes · 13 points*
#
# The network that read cheques in the 1990s, in today's dress. For 28 × 28 pixels and ten classes:
#
# | layer | output | parameters |
# | --- | --- | --- |
# | input | $(N, 1, 28, 28)$ | |
# | convolution 5 × 5, padding 2, 6 channels, activation | $(N, 6, 28, 28)$ | 156 |
# | pooling 2 × 2 | $(N, 6, 14, 14)$ | |
# | convolution 5 × 5, 16 channels, activation | $(N, 16, 10, 10)$ | 2 416 |
# | pooling 2 × 2, flattened | $(N, 400)$ | |
# | linear, 120 units, activation | $(N, 120)$ | 48 120 |
# | linear, 84 units, activation | $(N, 84)$ | 10 164 |
# | linear, one unit a class | $(N, 10)$ | 850 |
#
# Together 61 706 parameters, four fifths of them where the picture is flattened. **No softmax at the end**: the network
# gives logits, and cross-entropy takes logits.
#
# **Specification** · `class LeNet(num_classes=10, in_channels=1)`, an `nn.Module`
#
# * `model(x)` maps `(N, in_channels, 28, 28)` to logits `(N, num_classes)`. The layers are those of the table, paddings
#   included, each with a bias; every sample is treated on its own. All parameters are trainable.
# * The activation is ReLU or tanh, the pooling maximum or mean, as you like. (The original's sigmoids learn far too
#   slowly for what follows.) Nothing follows the last linear layer.
# * `nn.Linear`, `nn.Flatten`, `nn.Sequential` and PyTorch's activations are allowed; convolutions and poolings are
#   yours.
# * Parameters are float32; after `model.double()` the model computes in float64.
# * Trained by `given.fit` (have a look at it) on 960 handwritten digits for three epochs, it reads at least 88 % of the
#   test digits. Ours reads at least 91 % with every seed that we tried.


# %% exercise="lenet" nbgrader={"grade": false, "grade_id": "lenet", "locked": false, "schema_version": 3, "solution": true, "task": false}
class LeNet(nn.Module):
    """LeNet-5 for pictures of 28 × 28 pixels."""

    def __init__(self, num_classes: int = 10, in_channels: int = 1) -> None:
        """Make the layers."""
        ### BEGIN SOLUTION
        super().__init__()
        self.conv1 = Conv2d(in_channels, 6, 5, padding=2)
        self.conv2 = Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures (N, in_channels, 28, 28) to logits (N, num_classes)."""
        ### BEGIN SOLUTION
        x = max_pool2d(torch.relu(self.conv1(x)), 2)
        x = max_pool2d(torch.relu(self.conv2(x)), 2)
        x = torch.relu(self.fc1(x.flatten(1)))
        return self.fc3(torch.relu(self.fc2(x)))
        ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-lenet", "locked": true, "points": 13, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("lenet")

# %% [markdown]
# **See it.** Three epochs on all 1 400 training digits, in a few seconds. On the left the loss of each step: it starts
# near $\log 10 \approx 2.3$, drops within some fifty steps, and ends close to 0. In the middle the six 5 × 5 kernels of
# the first layer: most have turned into small edges or strokes of some direction. On the right nine test digits with
# the network's reading as the title. The printed test accuracy should be above 0.93.

# %% tags=["see"]
images, labels, test_images, test_labels = given.digits()
torch.manual_seed(1)
model = LeNet()
history = given.fit(model, images, labels, epochs=3, generator=torch.Generator().manual_seed(2))
with torch.no_grad():
    predictions = model(test_images).argmax(1)
    kernels = next(p for p in model.parameters() if p.shape == (6, 1, 5, 5))[:, 0].clone()
print(f"test accuracy {(predictions == test_labels).float().mean().item():.3f}")

figure = plt.figure(figsize=(11, 3.2), layout="constrained")
left, centre, right = figure.subfigures(1, 3)
axes = left.subplots()
axes.plot(history)
axes.set_xlabel("step")
axes.set_ylabel("training loss")
for axes, kernel in zip(centre.subplots(2, 3).flat, kernels, strict=True):
    axes.imshow(kernel.numpy(), cmap="coolwarm", vmin=-0.6, vmax=0.6)
    axes.axis("off")
for axes, image, reading in zip(right.subplots(3, 3).flat, test_images[:9, 0], predictions[:9].tolist(), strict=True):
    axes.imshow(image.numpy(), cmap="gray")
    axes.set_title(str(reading), fontsize=9)
    axes.axis("off")
plt.show()

# %% [markdown]
# **To think about** (not marked). The loss that you see was measured on each batch *before* the step on it, while the
# model changed. What would you have to compute to know the training loss of the final model?

# %% [markdown] tags=["answer"]
# *Your answer:*

# %% [markdown]
# ## 7. Filters, and what a shift does
#
# *Goal: kernels that you can read, and one property of all of them · ★★☆ · 25 minutes · 8 points*
#
# Long before kernels were learned, people wrote them by hand. Three that every image editor has:
#
# * **Blur**: each pixel becomes a weighted mean of its neighbourhood. The weights are positive and sum to 1, so a
#   constant picture stays as it is.
# * **Edge**: the change from left to right, which is a derivative. The weights sum to 0, so a constant picture becomes
#   black; a ramp that grows by 1 a pixel becomes 1.
# * **Sharpen**: add to the picture what blurring would take away, $x + (x - \text{blur}(x))$. Convolution is linear, so
#   this is one kernel too: $2\delta - \text{blur}$, where $\delta$ is the kernel that changes nothing (1 in the
#   middle).
#
# **Specification** · `edge()`, `blur()`, `sharpen()`: each returns a new float32 tensor `(3, 3)`, a kernel to
# *correlate* with
#
# * `blur()`: all nine weights positive, their sum 1, none larger than the one in the middle; unchanged when it is
#   mirrored left–right, mirrored top–bottom, or transposed.
# * `edge()`: mirrored left–right it changes its sign, mirrored top–bottom it does not change. A picture that grows by 1
#   from each column to the next one on the right gives 1 (away from the border). How rows are weighted is up to you.
# * `sharpen()`: $2\delta - \text{blur}$, with your own blur.
#
# **Specification** · `apply_filter(img, k) -> Tensor`
#
# * `img`: `(..., H, W)` with any number of leading dimensions, at least none; float32 or float64. `k`: `(kh, kw)`,
#   floating point; it is used in the dtype of `img`.
# * Correlates every picture with `k`, the picture surrounded by zeros, so that the result has the shape and dtype of
#   `img`.
# * `ValueError` if `kh` or `kw` is even: the kernel would have no middle.
# * Differentiable in both. No side effects.


# %% exercise="filters" nbgrader={"grade": false, "grade_id": "filters", "locked": false, "schema_version": 3, "solution": true, "task": false}
def blur() -> Tensor:
    """Make a kernel (3, 3) that averages the neighbourhood; positive, symmetric, sum 1."""
    ### BEGIN SOLUTION
    weights = torch.tensor([1.0, 2.0, 1.0])
    return weights.outer(weights) / 16
    ### END SOLUTION


def edge() -> Tensor:
    """Make a kernel (3, 3) that gives the change per pixel from left to right."""
    ### BEGIN SOLUTION
    return torch.tensor([1.0, 2.0, 1.0]).outer(torch.tensor([-1.0, 0.0, 1.0])) / 8
    ### END SOLUTION


def sharpen() -> Tensor:
    """Make the kernel (3, 3) that adds to a picture what ``blur`` would take away."""
    ### BEGIN SOLUTION
    kernel = -blur()
    kernel[1, 1] += 2
    return kernel
    ### END SOLUTION


def apply_filter(img: Tensor, k: Tensor) -> Tensor:
    """Correlate pictures with one kernel and keep their size.

    Args:
        img: (..., H, W).
        k: (kh, kw), both odd.

    Returns:
        Tensor of the shape and dtype of ``img``.

    Raises:
        ValueError: a side of the kernel is even.
    """
    ### BEGIN SOLUTION
    kh, kw = k.shape
    if kh % 2 == 0 or kw % 2 == 0:
        raise ValueError(f"a kernel of {kh} × {kw} has no middle")
    pictures = img.reshape(-1, 1, *img.shape[-2:])
    return conv2d(pictures, k[None, None].to(img.dtype), padding=(kh // 2, kw // 2)).reshape(img.shape)
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-filters", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("filters")

# %% [markdown]
# **See it.** A drawn picture with a disc, bars, a checkerboard and a soft blob, and what your filters make of it. Blur:
# the bars run together, the blob hardly changes. Edge: the left sides of bright things are white, their right sides
# black, everything flat is grey; horizontal borders have vanished. Sharpen: contours stand out. The bright and dark
# lines at the rim of the edge and sharpen pictures come from the zeros around the picture.

# %% tags=["see"]
picture = given.scene()
shown = {"picture": picture, "blur, three times": picture}
for _ in range(3):
    shown["blur, three times"] = apply_filter(shown["blur, three times"], blur())
shown |= {"edge": 0.5 + apply_filter(picture, edge()), "sharpen": apply_filter(picture, sharpen())}

figure, panels = plt.subplots(1, 4, figsize=(11, 3), layout="constrained")
for axes, (name, filtered) in zip(panels, shown.items(), strict=True):
    axes.imshow(filtered.numpy(), cmap="gray", vmin=0, vmax=1)
    axes.set_title(name)
    axes.axis("off")
plt.show()

# %% [markdown]
# **A text of about 100 words** (2 points, read by a person). Write $T$ for the operation that moves a picture one pixel
# to the right.
#
# 1. What does it mean that a convolution is *equivariant* to $T$? Write it as an equation. Where does it fail for a
#    convolution with padding and stride 1, and what is left of it when the stride is 2?
# 2. It is often said that max pooling makes a network *invariant* to shifts. Why is this not quite true, and what is
#    true?

# %% [markdown] exercise="filters" nbgrader={"grade": true, "grade_id": "filters-text", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# ### BEGIN SOLUTION
# 1. Equivariant: it does not matter whether the picture is moved before or after,
#    $\text{conv}(Tx) = T\,\text{conv}(x)$; what is found moves along with the thing. (Invariant would be
#    $f(Tx) = f(x)$.) With padding it fails at the border, where pixels leave the picture and zeros come in. With stride
#    2 it holds for shifts by multiples of 2 pixels only: those move the output by half as much. A shift by one pixel
#    gives the windows that were left out before.
# 2. Pooling is invariant only approximately: a maximum stays the same as long as the largest value stays in its window.
#    A shift by one pixel moves some values across the border of their windows. With windows of 2 × 2 and stride 2, only
#    shifts by multiples of 2 act cleanly, and they *move* the output by one: again equivariance. True is that small
#    shifts change the output less than the input; invariance in the strict sense comes from pooling over the whole
#    picture.
# ### END SOLUTION

# %% [markdown]
# ## 8. Find the bug
#
# *Goal: a test that right code passes and wrong code does not · ★★☆ · 20 minutes · 4 points*
#
# Now you are the examiner. `check_conv2d(fn)` receives a function that claims to be `conv2d` and decides. A test that
# only ever sees square pictures, equal options and kernels full of ones lets nearly everything pass. This one, for
# instance:


# %%
def flipped_conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
) -> Tensor:
    """Do what mathematicians call a convolution: the kernel is flipped. Not what this course calls one."""
    return conv2d(x, weight.flip(-1, -2), bias, stride, padding, dilation, groups)


# %% [markdown]
# It will meet right functions in several styles, and wrong ones with bugs of these kinds:
#
# * **orientation**: the kernel flipped or transposed, vertical and horizontal exchanged in one of the options;
# * **size**: a window too few, or too many; a frame on two sides instead of four, or not made of zeros;
# * **options**: one of them ignored, or applied wrongly, perhaps only together with another one;
# * **channels**: groups that read the wrong channels, a bias that is forgotten or added to the wrong thing;
# * **precision**: float64 comes in and float32 goes out, or the result is only as exact as float32.
#
# All of them are wrong in what they *return* for valid arguments; none of them is wrong about errors, gradients, side
# effects or cost, and none is wrong only for special numbers.
#
# **Specification** · `check_conv2d(fn) -> None`
#
# * `fn`: a function with the signature of `conv2d`. Call it as often as you need, up to 300 times, with small tensors
#   (`float32` or `float64`) and valid arguments.
# * Returns `None` if `fn` is right. A right function may differ from yours by rounding: by $10^{-9}$ in float64, by
#   $10^{-4}$ in float32 (for numbers of ordinary size).
# * Raises `AssertionError` if `fn` is wrong (so `assert` does). Another exception does not count: mind wrong shapes
#   before you compare values.
# * It may draw its inputs from PyTorch's global generator, and seed it. Otherwise no side effects.
#
# You may compare with your own `conv2d`, with the slow loop of exercise 3, or use cases whose result you know.


# %% exercise="bug" nbgrader={"grade": false, "grade_id": "bug", "locked": false, "schema_version": 3, "solution": true, "task": false}
def check_conv2d(fn: Callable[..., Tensor]) -> None:
    """Put an implementation of ``conv2d`` to the test.

    Args:
        fn: a function with the signature of ``conv2d``.

    Raises:
        AssertionError: ``fn`` is wrong.
    """
    ### BEGIN SOLUTION
    generator = torch.Generator().manual_seed(0)
    shapes = (2, 4, 9, 7), (6, 4, 3, 2), (6,)
    x, weight, bias = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    together = {"stride": (3, 2), "padding": (1, 2), "dilation": (1, 2)}
    for groups in (1, 2):
        for options in ({}, *({name: value} for name, value in together.items()), together):
            arguments = x, weight[:, : 4 // groups], bias
            expected = conv2d(*arguments, groups=groups, **options)
            result = fn(*arguments, groups=groups, **options)
            assert result.shape == expected.shape, f"wrong shape for {options}"
            assert result.dtype == expected.dtype, f"wrong dtype for {options}"
            assert torch.allclose(result, expected, rtol=0, atol=1e-8), f"wrong values for {options}"
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-bug", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("bug")

# %% [markdown]
# **To think about** (not marked). Which bug could your test *not* find, however often you run it? (Think of one that
# shows itself only for pictures of 1000 × 1000 pixels.)

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
