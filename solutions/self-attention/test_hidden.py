"""Hidden checks of self-attention: never released. Worth 68 of the 100 points."""

import math

import pytest
import torch

from grader.checks import check, close, contract, fail, grows, holds, probe, race, spy, watch

F64 = torch.float64
BOTH_DTYPES = (F64, torch.float32)


def randn(rng, *shape, dtype=F64):
    """Standard normal numbers, the same ones for both dtypes."""
    return torch.randn(*shape, generator=rng, dtype=F64).to(dtype)


def random_mask(rng, *shape):
    """A random mask in which the first key is always allowed, so that no row is fully masked."""
    mask = torch.rand(*shape, generator=rng) < 0.5
    mask[..., 0] = True
    mask[..., -1] = False
    return mask


def triple(rng, *lead, L=3, M=5, d=4, e=2, dtype=F64):
    """Queries, keys and values."""
    return tuple(randn(rng, *lead, *shape, dtype=dtype) for shape in ((L, d), (M, d), (M, e)))


def scores_of(q, k):
    """The scaled scores."""
    return q @ k.mT / math.sqrt(q.shape[-1])


def weights_of(scores, mask=None):
    """The weights that are due; rows without any allowed key are zero."""
    if mask is None:
        return scores.softmax(-1)
    mask = mask.expand(scores.shape)
    some = mask.any(-1, keepdim=True)
    return scores.masked_fill(~mask & some, -math.inf).softmax(-1) * some


def attend(q, k, v, mask=None):
    """The output that is due."""
    return weights_of(scores_of(q, k), mask) @ v


def slopes(output, inputs, what):
    """The gradients of the sum of ``output``; a sentence for the student where there are none, or no numbers."""
    if not output.requires_grad:
        fail("The result is cut off from autograd: no gradient flows back to the input.", kind="gradient")
    found = torch.autograd.grad(output.sum(), inputs, allow_unused=True)
    for gradient, name in zip(found, what, strict=True):
        if gradient is None:
            fail(f"No gradient flows back to {name}.", kind="gradient")
        if not gradient.isfinite().all():
            fail(f"The gradient of {name} is not finite.", kind="nan")
    return found


def differentiable(fn, *inputs):
    """End the check unless the gradient is the derivative."""
    leaves = [value.detach().clone().requires_grad_() for value in inputs]
    if not torch.autograd.gradcheck(fn, leaves, fast_mode=True, raise_exception=False):
        fail("The gradient is not the derivative of the result.", kind="gradient")


def rounding(dtype):
    """Tolerances for scores of ±100 000, whichever way a right answer takes to the softmax."""
    tolerance = max(1e-7, 16 * torch.finfo(dtype).eps * 1e5)
    return {"rtol": tolerance, "atol": tolerance}


# ----------------------------------------------------------------------------------------------- 1. attention


@check("attention", points=2, hint="The root of the width of q, q.shape[-1]: not of v's, nor of a number of tokens.")
def test_attention_scale(student, rng):
    """The scores are divided by the root of the width of the queries, whatever the other sizes are."""
    for L, M, d, e in ((5, 7, 16, 3), (4, 6, 2, 9), (6, 2, 3, 3), (1, 4, 2, 2), (3, 1, 4, 5), (1, 1, 1, 1)):
        q, k, v = triple(rng, L=L, M=M, d=d, e=e)
        scores = scores_of(q, k)
        close(
            student.scaled_dot_product_attention(q, k, v),
            scores.softmax(-1) @ v,
            misconceptions={
                "the scores were not divided by √d": (scores * d**0.5).softmax(-1) @ v,
                "the scores were divided by the root of the width of v": (scores * (d / e) ** 0.5).softmax(-1) @ v,
                "the scores were divided by the root of the number of keys": (scores * (d / M) ** 0.5).softmax(-1) @ v,
                "the scores were divided by the root of the number of queries": (scores * (d / L) ** 0.5).softmax(-1)
                @ v,
            },
        )


@check("attention", points=3, hint="Count dimensions from the end (−1, −2), and let the mask broadcast by itself.")
def test_attention_batches(student, rng):
    """scaled_dot_product_attention takes none to three batch dimensions, and any mask that can be broadcast."""
    for lead, shapes in (
        ((), ((3, 5), (5,), (1, 5), (1, 1), ())),
        ((2,), ((2, 3, 5), (2, 1, 5), (3, 5))),
        ((2, 3), ((2, 1, 1, 5), (1, 3, 3, 5), (3, 1, 5), (5,))),
        ((2, 1, 3), ((2, 1, 3, 3, 5), (2, 1, 1, 1, 5), (3, 5))),
    ):
        q, k, v = triple(rng, *lead)
        close(student.scaled_dot_product_attention(q, k, v), attend(q, k, v))
        for shape in shapes:
            mask = random_mask(rng, *shape) if shape[-1:] == (5,) else torch.ones(shape, dtype=torch.bool)
            result = student.scaled_dot_product_attention(q, k, v, mask, return_weights=True)
            close(result, (attend(q, k, v, mask), weights_of(scores_of(q, k), mask)), what="output and weights")


@check("attention", points=1, hint="Compare mask.dtype with torch.bool, before you use the mask.")
def test_attention_mask_dtype(student, rng):
    """scaled_dot_product_attention raises TypeError for a mask that is not boolean."""
    q, k, v = triple(rng)
    for dtype in (torch.float64, torch.float32, torch.int64, torch.uint8):
        with pytest.raises(TypeError):
            student.scaled_dot_product_attention(q, k, v, torch.ones(3, 5, dtype=dtype))


@check(
    "attention", points=3, hint="The softmax of a row of −∞ is nan, and of equal low scores 1/M: both must become 0."
)
def test_attention_masked_rows(student, rng):
    """A fully masked row has zero weights and a zero output, and the other rows are not affected by it."""
    for dtype in BOTH_DTYPES:
        q, k, v = triple(rng, 2, dtype=dtype)
        one_row, one_sample = random_mask(rng, 2, 3, 5), random_mask(rng, 2, 1, 5)
        one_row[0, 1] = False
        one_sample[1] = False
        by_row = torch.tensor([[True], [False], [True]])
        for mask in (one_row, one_sample, by_row, torch.zeros(3, 5, dtype=torch.bool), torch.tensor(False)):
            output, weights = contract(student.scaled_dot_product_attention, q, k, v, mask, return_weights=True)
            scores = scores_of(q, k)
            empty = (mask.expand(scores.shape).sum(-1, keepdim=True) == 0).to(dtype)
            close(
                weights,
                weights_of(scores, mask),
                what="the weights",
                misconceptions={
                    "a fully masked row got equal weights; they must be 0": weights_of(scores, mask) + empty / 5,
                    "a fully masked row got the weights that it would have without the mask": weights_of(scores, mask)
                    + empty * scores.softmax(-1),
                },
            )
            close(output, attend(q, k, v, mask), what="the output")


@check(
    "attention", points=2, hint="A nan that is replaced afterwards can come back in the backward pass: let none arise."
)
def test_attention_masked_gradients(student, rng):
    """With a fully masked row, all gradients are finite and right, and that row's query has the gradient 0."""
    q, k, v = triple(rng, 2)
    mask = random_mask(rng, 2, 3, 5)
    mask[0, 1] = False
    leaves = [value.clone().requires_grad_() for value in (q, k, v)]
    found = slopes(student.scaled_dot_product_attention(*leaves, mask), leaves, "qkv")
    due = torch.autograd.grad(attend(*leaves, mask).sum(), leaves)
    for gradient, slope, name in zip(found, due, "qkv", strict=True):
        close(gradient, slope, what=f"the gradient of {name}")
    differentiable(lambda q, k, v: student.scaled_dot_product_attention(q, k, v, mask), q, k, v)


@check("attention", points=1, hint="The weights that you return are part of the graph: no detach, no .data.")
def test_attention_weights_gradients(student, rng):
    """The weights that scaled_dot_product_attention returns are differentiable, and the output beside them as well."""
    mask = random_mask(rng, 3, 5)

    def both(q, k, v):
        output, weights = student.scaled_dot_product_attention(q, k, v, mask, return_weights=True)
        if not weights.requires_grad:
            fail("The weights are cut off from autograd.", kind="gradient")
        return output, weights

    differentiable(both, *triple(rng, 2))


@check(
    "attention",
    points=2,
    hint="Masked scores must not depend on k at all: fill them, do not subtract from them.",
)
def test_attention_no_leak(student, rng):
    """What stands in masked keys and values makes no difference, even if it is 10¹²."""
    for dtype in BOTH_DTYPES:
        q, k, v = triple(rng, 2, dtype=dtype)
        mask = torch.tensor([True, False, True, True, False])
        due = attend(q, k[:, mask], v[:, mask])
        for huge in (1e12, -1e12):
            high, low = (torch.where(mask[:, None], value, huge) for value in (k, v))
            leaves = (q.clone().requires_grad_(), high.requires_grad_(), low.requires_grad_())
            result = student.scaled_dot_product_attention(*leaves, mask)
            close(result, due)
            _, of_k, of_v = slopes(result, leaves, "qkv")
            zero = torch.zeros_like(k[:, ~mask])
            close(of_k[:, ~mask], zero, what="the gradient of masked keys")
            close(of_v[:, ~mask], torch.zeros_like(v[:, ~mask]), what="the gradient of masked values")


@check("attention", points=2, hint="softmax is stable; exp is not. And −10⁴ is not low enough for a masked score.")
def test_attention_large_scores(student):
    """scaled_dot_product_attention and its gradients are right for scores of ±100 000, with a mask and without."""
    for dtype in BOTH_DTYPES:
        q, k = torch.zeros(4, 16, dtype=dtype), torch.zeros(5, 16, dtype=dtype)
        q[:, 0] = torch.tensor([4.0, -4.0, 0.0, 2.0])
        k[:, 0] = torch.tensor([1e5, 1e5 - 1, -1e5, 1 - 1e5, 0.0])
        v = torch.arange(10, dtype=dtype).view(5, 2).sin()
        for mask in (None, torch.tensor([False, False, True, True, False]), torch.tensor([1, 1, 0, 0, 1]).bool()):
            leaves = [value.clone().requires_grad_() for value in (q, k, v)]
            result = student.scaled_dot_product_attention(*leaves, mask)
            twins = [value.clone().requires_grad_() for value in (q, k, v)]
            due = attend(*twins, mask)
            close(result, due.detach(), **rounding(dtype))
            _, of_k, of_v = slopes(result, leaves, "qkv")
            _, slope_k, slope_v = torch.autograd.grad(due.sum(), twins)
            close(of_k, slope_k, what="the gradient of k", **rounding(dtype))
            close(of_v, slope_v, what="the gradient of v", **rounding(dtype))


@check("attention", points=1, hint="No loop over batch, queries or keys: @ takes all batch dimensions at once.")
def test_attention_operations(student, reference, rng):
    """scaled_dot_product_attention needs no more operations for large inputs, and at most 20 times our time."""
    counts = []
    for lead, L, M in (((1, 1), 2, 3), ((3, 4), 9, 11)):
        q, k, v = triple(rng, *lead, L=L, M=M)
        counts.append(
            watch(student.scaled_dot_product_attention, q, k, v).op_count
            + watch(student.scaled_dot_product_attention, q, k, v, random_mask(rng, L, M)).op_count
        )
    if counts[1] > counts[0] + 6:
        fail("The number of operations grows with the size of the input.", kind="cost")
    race(
        student.scaled_dot_product_attention,
        reference.scaled_dot_product_attention,
        lambda: tokens(rng, 64, 8, n=16),
        at_most=20,
    )


def tokens(rng, *lead, n, d=16):
    """Queries, keys and values of about n tokens; never the same number twice in a row."""
    n = int(torch.randint(n - n // 8, n + 1, (), generator=rng))
    return triple(rng, *lead, L=n, M=n, d=d, e=d, dtype=torch.float32)


@check(
    "attention",
    points=1,
    hint="Repeating q or k for all pairs costs d times the memory of the scores; q @ kᵀ does not.",
)
def test_attention_memory(student, reference, rng):
    """All intermediate tensors together take at most 6.5 times the memory of the scores."""
    q, k, v = triple(rng, 2, 2, L=96, M=96, d=8, e=8, dtype=torch.float32)
    for mask in (None, random_mask(rng, 96, 96)):
        if watch(student.scaled_dot_product_attention, q, k, v, mask).peak_bytes > 6.5 * 2 * 2 * 96 * 96 * 4:
            fail("The intermediate tensors take too much memory.", kind="cost")
    attend_here, ours = student.scaled_dot_product_attention, reference.scaled_dot_product_attention
    holds(attend_here, ours, lambda: tokens(rng, 2, 2, n=1024), at_most=4)


# --------------------------------------------------------------------------------------------------- 2. masks


@check("masks", points=1, hint="One token may see itself; n tokens make n(n + 1)/2 allowed pairs.")
def test_causal_mask_sizes(student):
    """causal_mask is right for a single token, and for many."""
    for n in (1, 2, 40):
        close(student.causal_mask(n), torch.ones(n, n, dtype=torch.bool).tril(), what="the mask")


@check("masks", points=2, hint="Any L: it may be larger than the longest sequence. Keep both dimensions of size 1.")
def test_padding_mask_sizes(student):
    """padding_mask takes empty and full sequences, a single one, and an L that no sequence reaches."""
    for lengths, L in (([0, 4, 2], 4), ([3], 3), ([0], 2), ([1, 2], 6), ([1], 1), ([2, 2, 2], 3)):
        due = torch.arange(L)[None] < torch.tensor(lengths)[:, None]
        close(student.padding_mask(torch.tensor(lengths), L), due[:, None, None], what="the mask")


@check("masks", points=2, hint="Window 0 is the identity, and a window of n − 1 or more allows everything.")
def test_local_mask_sizes(student):
    """local_mask is right for all windows, from 0 to beyond the number of tokens."""
    for n in (1, 2, 5, 12):
        distance = (torch.arange(n)[:, None] - torch.arange(n)).abs()
        for window in (0, 1, 3, n - 1, n, 3 * n):
            close(student.local_mask(n, window), distance <= window, what="the mask")


# ---------------------------------------------------------------------------------------------- 3. positional


def encoding(positions, d, base=10000.0):
    """The encoding of some positions, in float64."""
    columns = torch.arange(d)
    omega = torch.tensor(float(base), dtype=F64) ** (-2 * (columns // 2).double() / d)
    angles = torch.as_tensor(positions, dtype=F64)[:, None] * omega
    return torch.where(columns % 2 == 0, angles.sin(), angles.cos())


@check("positional", points=1, hint="The smallest sizes are sizes too: the result is (n, d), whatever n and d are.")
def test_positional_sizes(student):
    """positional_encoding is right for one position, and for one or two columns."""
    for n, d in ((1, 4), (3, 1), (1, 1), (4, 2), (1, 3)):
        close(student.positional_encoding(n, d), encoding(range(n), d).float(), rtol=0, atol=1e-6, what="the encoding")


@check("positional", points=2, hint="base^(−2i/d) with the base that is handed in.")
def test_positional_base(student):
    """positional_encoding uses the base that it is given."""
    for n, d, base in ((9, 6, 100.0), (9, 6, 100), (5, 3, 2.5), (6, 8, 1e6)):
        close(
            student.positional_encoding(n, d, base=base),
            encoding(range(n), d, base).float(),
            rtol=0,
            atol=1e-6,
            what="the encoding",
            misconceptions={"the base was not used": encoding(range(n), d).float()},
        )


@probe
def far_rows(student, n, d, rows):
    """Some rows of a long encoding."""
    return student.positional_encoding(n, d)[rows]


@check(
    "positional", points=3, hint="In float32, angles near 60 000 are off by 0.004. Compute in float64, then .float()."
)
def test_positional_far(student):
    """positional_encoding is right to a millionth at position 60 000 and beyond."""
    rows = [1000, 9999, 30_001, 59_999, 60_000, 69_999]
    result, due = far_rows(student, 70_000, 10, rows), encoding(rows, 10).float()
    close(
        result,
        due,
        rtol=0,
        atol=1e-6,
        what="the encoding",
        misconceptions={
            "angles or frequencies were rounded to float32, which is too coarse for large positions": lambda: (
                result if torch.allclose(result, due, rtol=0, atol=0.05) else -due
            )
        },
    )


# ----------------------------------------------------------------------------------------------- 4. multihead

MAPS = ("q_proj", "k_proj", "v_proj", "out_proj")


def torchs_own(rng, d_model, n_heads, *, bias=True):
    """PyTorch's layer with distinct random weights, and these as a state_dict for the student's."""
    layer = torch.nn.MultiheadAttention(d_model, n_heads, bias=bias, batch_first=True, dtype=F64)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(randn(rng, *parameter.shape) * (d_model**-0.5 if parameter.ndim == 2 else 1))
    parts = layer.in_proj_weight.detach().chunk(3)
    state = {f"{name}.weight": part.clone() for name, part in zip(MAPS, parts, strict=False)}
    state["out_proj.weight"] = layer.out_proj.weight.detach().clone()
    if bias:
        parts = layer.in_proj_bias.detach().chunk(3)
        state |= {f"{name}.bias": part.clone() for name, part in zip(MAPS, parts, strict=False)}
        state["out_proj.bias"] = layer.out_proj.bias.detach().clone()
    return layer, state


def random_state(rng, d_model, *, bias=True):
    """A state_dict with four different matrices and biases."""
    return torchs_own(rng, d_model, 1, bias=bias)[1]


def multihead(state, x, n_heads, mask=None):
    """What multi-head self-attention gives with these parameters."""
    B, L, D = x.shape

    def projected(name, value):
        return torch.nn.functional.linear(value, state[f"{name}.weight"], state.get(f"{name}.bias"))

    q, k, v = (projected(name, x).reshape(B, L, n_heads, D // n_heads).transpose(1, 2) for name in MAPS[:3])
    return projected("out_proj", attend(q, k, v, mask).transpose(1, 2).reshape(B, L, D))


def built(student, d_model, n_heads, state, **options):
    """The student's module with these parameters, in float64."""
    module = student.MultiHeadSelfAttention(d_model, n_heads, **options).double()
    module.load_state_dict(state)
    return module


@probe
def outputs(student, d_model, n_heads, state, calls, options=None):
    """What one module with these parameters returns for several calls (x, mask, causal)."""
    module = student.MultiHeadSelfAttention(d_model, n_heads, **(options or {})).double()
    module.load_state_dict(state)
    with torch.no_grad():
        return [module(x, mask, causal) for x, mask, causal in calls]


def past(L):
    """The causal mask."""
    return torch.ones(L, L, dtype=torch.bool).tril()


@check(
    "multihead",
    points=4,
    hint="Heads are consecutive columns, each with d_model / n_heads of them: try H = 1 and H = D.",
)
def test_multihead_heads(student, rng):
    """MultiHeadSelfAttention computes what nn.MultiheadAttention computes with the same weights, for 1 to 12 heads."""
    for n_heads in (1, 2, 3, 4, 6, 12):
        layer, state = torchs_own(rng, 12, n_heads)
        x = randn(rng, 2, 5, 12)
        (result,) = outputs(student, 12, n_heads, state, [(x, None, False)])
        with torch.no_grad():
            close(result, layer(x, x, x)[0], rtol=1e-9, atol=1e-9)


@check("multihead", points=3, hint="Hand the mask on as it is: its shape fits (B, H, L, L), which the scores have.")
def test_multihead_masks(student, rng):
    """MultiHeadSelfAttention takes masks for all, for each sequence, for each head, and for all of these at once."""
    state, x = random_state(rng, 6), randn(rng, 2, 4, 6)
    masks = [
        random_mask(rng, *shape)
        for shape in ((4, 4), (4,), (1, 4, 4), (2, 1, 1, 4), (2, 1, 4, 4), (1, 3, 1, 4), (3, 4, 4), (2, 3, 4, 4))
    ]
    results = outputs(student, 6, 3, state, [(x, mask, False) for mask in masks])
    for result, mask in zip(results, masks, strict=True):
        close(
            result,
            multihead(state, x, 3, mask),
            rtol=1e-9,
            atol=1e-9,
            misconceptions={
                "the mask was read the other way round; True means that attention is allowed": lambda mask=mask: (
                    multihead(state, x, 3, ~mask)
                ),
                "the mask was ignored": lambda: multihead(state, x, 3),
            },
        )
    contract(built(student, 6, 3, state), x, masks[-1])


@check("multihead", points=3, hint="Does the output at i depend on the input at j > i? And on every j ≤ i?")
def test_multihead_causal(student, rng):
    """With causal=True, the output of a token depends on itself and on all that came before it, and on nothing else."""
    module = built(student, 8, 2, random_state(rng, 8))
    x = randn(rng, 1, 5, 8).requires_grad_()
    output = module(x, causal=True)
    if not output.requires_grad:
        fail("The result is cut off from autograd: no gradient flows back to the input.", kind="gradient")
    for i in range(5):
        (slope,) = torch.autograd.grad(output[0, i].sum(), x, retain_graph=True)
        reach = slope[0].abs().sum(-1)
        if (reach[i + 1 :] > 0).any():
            fail("The output of a token depends on a later token.")
        if not (reach[: i + 1] > 0).all():
            fail("The output of a token does not depend on itself, or not on all earlier tokens.")


@check(
    "multihead", points=3, hint="A token is seen if mask AND causal mask allow it; rows where none is left give zeros."
)
def test_multihead_left_padding(student, rng):
    """With padding on the left and causal=True, each sequence gives what it gives alone, and the padding the bias."""
    state, lengths, L = random_state(rng, 6), (2, 5, 4), 5
    x = randn(rng, 3, L, 6).requires_grad_()
    mask = torch.stack([torch.arange(L) >= L - length for length in lengths])[:, None, None]
    result = built(student, 6, 3, state)(x, mask, causal=True)
    value = x.detach()
    close(
        result,
        multihead(state, value, 3, mask & past(L)),
        rtol=1e-9,
        atol=1e-9,
        misconceptions={
            "the mask was forgotten when causal=True": lambda: multihead(state, value, 3, past(L)),
            "causal was forgotten when there is a mask": lambda: multihead(state, value, 3, mask),
            "a token was seen if one of the two masks allowed it; both must": lambda: multihead(
                state, value, 3, mask | past(L)
            ),
        },
    )
    for sample, length in enumerate(lengths):
        alone = multihead(state, value[sample : sample + 1, L - length :], 3, past(length))
        close(result[sample : sample + 1, L - length :], alone, rtol=1e-9, atol=1e-9)
    (slope,) = slopes(result, (x,), ("x",))
    (due,) = torch.autograd.grad(multihead(state, x, 3, mask & past(L)).sum(), x)
    close(slope, due, rtol=1e-8, atol=1e-8, what="the gradient of x")


@check("multihead", points=2, hint="Nothing in attention knows about order, or about the other sequences of the batch.")
def test_multihead_symmetry(student, rng):
    """Shuffled tokens give shuffled outputs, and each sequence of a batch gives what it gives alone."""
    state, x = random_state(rng, 8), randn(rng, 3, 6, 8)
    order = torch.randperm(6, generator=rng)
    whole, shuffled, alone = outputs(
        student, 8, 4, state, [(x, None, False), (x[:, order], None, False), (x[1:2], None, False)]
    )
    close(shuffled, whole[:, order], rtol=1e-9, atol=1e-9, what="the output for shuffled tokens")
    close(alone, whole[1:2], rtol=1e-9, atol=1e-9, what="the output of a sequence alone")


@check("multihead", points=1, hint="Make masks and shapes from x in each call; store nothing in forward.")
def test_multihead_no_memory(student, rng):
    """One module takes sequences and batches of any size one after the other, and remembers none of them."""
    state = random_state(rng, 6)
    calls = []
    for B, L, causal in ((2, 5, True), (1, 3, True), (3, 8, True), (2, 5, False), (2, 1, True), (1, 2, False)):
        x = randn(rng, B, L, 6)
        mask = None if L == 3 else random_mask(rng, L, L) | torch.eye(L, dtype=torch.bool)
        calls.append((x, mask, causal))
    for result, (x, mask, causal) in zip(outputs(student, 6, 2, state, calls), calls, strict=True):
        both = past(x.shape[1]) if causal else None
        if mask is not None:
            both = mask if both is None else mask & both
        close(result, multihead(state, x, 2, both), rtol=1e-9, atol=1e-9)


@check("multihead", points=2, hint="bias=bias for all four maps; without it the state_dict has four matrices.")
def test_multihead_without_bias(student, rng):
    """MultiHeadSelfAttention with bias=False has four matrices and no bias, and computes with them."""
    layer, state = torchs_own(rng, 12, 3, bias=False)
    names, strange = state_names(student, 12, 3, bias=False)
    if set(names) != set(state):
        fail("With bias=False the state_dict must hold the four matrices, and nothing else.", kind="state")
    if strange:
        fail("The modes or the parameters of a new module are strange: all parameters must be trainable.", kind="state")
    x = randn(rng, 2, 4, 12)
    (result,) = outputs(student, 12, 3, state, [(x, None, False)], {"bias": False})
    with torch.no_grad():
        close(result, layer(x, x, x)[0], rtol=1e-9, atol=1e-9)


@probe
def state_names(student, *args, **options):
    """The names in the state_dict, and whether a parameter cannot be trained."""
    module = student.MultiHeadSelfAttention(*args, **options)
    return list(module.state_dict()), not all(parameter.requires_grad for parameter in module.parameters())


@check("multihead", points=1, hint="if d_model % n_heads: raise ValueError. The TypeError comes from exercise 1.")
def test_multihead_errors(student, rng):
    """MultiHeadSelfAttention raises ValueError for widths that cannot be shared, and TypeError for other masks."""
    for d_model, n_heads in ((10, 3), (4, 8), (7, 2)):
        with pytest.raises(ValueError):
            student.MultiHeadSelfAttention(d_model, n_heads)
    module = student.MultiHeadSelfAttention(6, 2)
    for dtype in (torch.float32, torch.int64):
        with pytest.raises(TypeError):
            module(torch.zeros(1, 4, 6), torch.ones(4, 4, dtype=dtype))


@check("multihead", points=1, hint="When L = H, B = L or L = 1, a wrong transpose goes unnoticed by the shapes.")
def test_multihead_equal_sizes(student, rng):
    """MultiHeadSelfAttention is right when sizes coincide: as many tokens as heads, sequences or columns, or one."""
    for B, L, D, n_heads in ((2, 4, 8, 4), (3, 3, 3, 3), (4, 1, 4, 2), (1, 1, 2, 1), (2, 2, 4, 2), (1, 6, 6, 6)):
        state, x = random_state(rng, D), randn(rng, B, L, D)
        plain, masked = outputs(student, D, n_heads, state, [(x, None, False), (x, past(L), True)])
        close(plain, multihead(state, x, n_heads), rtol=1e-9, atol=1e-9)
        close(masked, multihead(state, x, n_heads, past(L)), rtol=1e-9, atol=1e-9)


@probe
def parameter_gradients(student, d_model, n_heads, state, x, upstream):
    """The gradient of each parameter, in train and in eval mode."""
    module = student.MultiHeadSelfAttention(d_model, n_heads).double()
    module.load_state_dict(state)
    found = []
    for mode in (True, False):
        module.train(mode)
        module.zero_grad()
        (module(x) * upstream).sum().backward()
        found.append({name: each.grad.clone() for name, each in module.named_parameters() if each.grad is not None})
    return found


@check("multihead", points=2, hint="Each of the four maps takes part in the graph: call them, no .data and no detach.")
def test_multihead_gradients(student, rng):
    """Gradients reach all eight parameters, and are those of nn.MultiheadAttention, in train and in eval mode."""
    layer, state = torchs_own(rng, 6, 2)
    x, upstream = randn(rng, 2, 4, 6), randn(rng, 2, 4, 6)
    (layer(x, x, x)[0] * upstream).sum().backward()
    due = {"out_proj.weight": layer.out_proj.weight.grad, "out_proj.bias": layer.out_proj.bias.grad}
    due |= {f"{name}.weight": part for name, part in zip(MAPS, layer.in_proj_weight.grad.chunk(3), strict=False)}
    due |= {f"{name}.bias": part for name, part in zip(MAPS, layer.in_proj_bias.grad.chunk(3), strict=False)}
    for found in parameter_gradients(student, 6, 2, state, x, upstream):
        for name, gradient in due.items():
            if name not in found:
                fail(f"No gradient flows back to {name}.", kind="gradient")
            close(found[name], gradient, rtol=1e-8, atol=1e-8, what=f"the gradient of {name}")


@check("multihead", points=1, hint="Heads are a batch dimension: one product for all of them, no loop.")
def test_multihead_operations(student, reference, rng):
    """MultiHeadSelfAttention needs no more operations for many heads and sequences, and at most 6 times our time."""
    counts = []
    for n_heads, B, L in ((2, 1, 4), (12, 4, 16)):
        module = student.MultiHeadSelfAttention(24, n_heads)
        x = randn(rng, B, L, 24, dtype=torch.float32)
        counts.append(watch(module, x).op_count + watch(module, x, random_mask(rng, L, L)).op_count)
    if counts[1] > counts[0] + 6:
        fail("The number of operations grows with the heads, the batch or the length.", kind="cost")
    for n_heads, D, B, L in ((128, 128, 4, 4), (1, 8, 256, 4), (1, 8, 1, 512)):
        state = {name: each.float() for name, each in random_state(rng, D).items()}
        layers = [side.MultiHeadSelfAttention(D, n_heads) for side in (student, reference)]
        for layer in layers:
            layer.load_state_dict(state)
        race(*layers, lambda B=B, L=L, D=D: (tokens(rng, B, n=L, d=D)[0],), at_most=6)


# ----------------------------------------------------------------------------------------------- 5. truncated


def near(n, window):
    """The local mask."""
    return (torch.arange(n)[:, None] - torch.arange(n)).abs() <= window


@probe
def windows(student, inputs):
    """Truncated attention for several (q, k, v, window)."""
    with torch.no_grad():
        return [student.truncated_self_attention(*each) for each in inputs]


@check(
    "truncated", points=3, hint="Compare with attention and local_mask for short sequences, and windows of all sizes."
)
def test_truncated_grid(student, rng):
    """truncated_self_attention is attention with the local mask, for all lengths and windows."""
    inputs = [(*triple(rng, 2, L=n, M=n, d=3, e=3), w) for n in (1, 4, 9, 17) for w in range(11)]
    for result, (q, k, v, window) in zip(windows(student, inputs), inputs, strict=True):
        close(result, attend(q, k, v, near(q.shape[-2], window)))


@check("truncated", points=2, hint="Count dimensions from the end; the values have a width of their own.")
def test_truncated_batches(student, rng):
    """truncated_self_attention takes none to three batch dimensions, and values of another width than the keys."""
    inputs = []
    for lead in ((), (2,), (2, 3), (2, 1, 3)):
        for d, e in ((4, 2), (2, 5), (1, 1)):
            inputs.append((*triple(rng, *lead, L=6, M=6, d=d, e=e), 2))
    for result, (q, k, v, window) in zip(windows(student, inputs), inputs, strict=True):
        close(result, attend(q, k, v, near(6, window)))


def cost(student, rng, n, window):
    """What truncated attention costs for n tokens."""
    q, k, v = triple(rng, 1, L=n, M=n, d=16, e=16, dtype=torch.float32)
    return watch(student.truncated_self_attention, q, k, v, window, flops=True)


@check(
    "truncated", points=2, hint="No tensor may have n × n entries, not even a mask: keep the 2w + 1 scores of each row."
)
def test_truncated_memory(student, reference, rng):
    """The peak memory of truncated_self_attention grows like the number of tokens, not like its square."""
    few, many = (cost(student, rng, n, 8).peak_bytes for n in (512, 2048))
    if many > few * 4**1.25:
        fail("The memory grows faster than the number of tokens.", kind="cost")
    holds(*windowed(student, reference), lambda n: (*exactly(rng, n), 8), sizes=(1024, 2048, 4096), at_most=1.5)


def windowed(student, reference):
    """Their function and ours."""
    return student.truncated_self_attention, reference.truncated_self_attention


def exactly(rng, n):
    """Queries, keys and values of n tokens."""
    return triple(rng, 1, L=n, M=n, d=16, e=16, dtype=torch.float32)


@check(
    "truncated",
    points=1,
    hint="Rows in turn with all keys save memory, but not work: leave out the keys beyond the window.",
)
def test_truncated_flops(student, reference, rng):
    """The work of truncated_self_attention grows like the number of tokens, not like its square."""
    few, many = (cost(student, rng, n, 8).flops for n in (512, 2048))
    if many > few * 4**1.25:
        fail("The number of FLOPs grows faster than the number of tokens.", kind="cost")
    grows(*windowed(student, reference), lambda n: (*exactly(rng, n), 8), sizes=(1024, 2048, 4096), at_most=1.6)


@check("truncated", points=1, hint="Loop over the 2w + 1 offsets, or over blocks of tokens, not over single tokens.")
def test_truncated_operations(student, reference, rng):
    """truncated_self_attention needs at most 100 + 60(2w + 1) + 4n operations: no loop over single rows."""
    for n, window in ((256, 2), (100, 12)):
        if cost(student, rng, n, window).op_count > 100 + 60 * (2 * window + 1) + 4 * n:
            fail("There are too many operations: is there a loop over the tokens?", kind="cost")
    race(*windowed(student, reference), lambda: (*tokens(rng, 1, n=1024), 8), at_most=20)


@check(
    "truncated", points=1, hint="exp overflows at 89; softmax does not. And −10⁴ is not low enough for a masked score."
)
def test_truncated_large_scores(student):
    """truncated_self_attention is right for scores of ±100 000."""
    for dtype in BOTH_DTYPES:
        q, k = torch.zeros(6, 16, dtype=dtype), torch.zeros(6, 16, dtype=dtype)
        q[:, 0] = torch.tensor([4.0, -4.0, 4.0, 0.0, -4.0, -4.0])
        k[:, 0] = torch.tensor([-1e5, 1 - 1e5, 1e5, 1e5 - 1, 1e5, 1e5 - 2])
        v = torch.arange(12, dtype=dtype).view(6, 2).sin()
        for window in (1, 2):
            due = attend(q, k, v, near(6, window))
            close(student.truncated_self_attention(q, k, v, window), due, **rounding(dtype))


@check("truncated", points=1, hint="Let autograd go through everything, the shifted keys and values included.")
def test_truncated_gradients(student, rng):
    """truncated_self_attention can be differentiated for small and for large windows."""
    for n, window in ((7, 2), (3, 5)):
        q, k, v = triple(rng, L=n, M=n, d=3, e=2)
        differentiable(lambda q, k, v, window=window: student.truncated_self_attention(q, k, v, window), q, k, v)


# ------------------------------------------------------------------------------------------------- 6. answers


@check(
    "answers",
    points=1,
    hint="The variance of a sum of independent terms is the sum of theirs; count the pairs with local_mask.",
)
def test_answers_numbers(student):
    """short_answers gives the variance, the number of heads and the number of pairs exactly."""
    answers = student.short_answers()
    close(answers["variance"], 64 * 4, what="the variance")
    close(
        answers["heads"],
        3 * 7,
        what="the number of heads",
        misconceptions={"the sides of the kernel were added; each of its entries needs a head": 10},
    )
    n, w = 4096, 64
    close(
        answers["pairs"],
        n * (2 * w + 1) - w * (w + 1),
        what="the number of pairs",
        misconceptions={
            "the windows of tokens near both ends were not cut off": n * (2 * w + 1),
            "the windows were cut off at one end only": n * (2 * w + 1) - w * (w + 1) // 2,
            "only one side of the window was counted": n * (w + 1) - w * (w + 1) // 2,
            "the tokens themselves were not counted": n * 2 * w - w * (w + 1),
        },
    )


@check("answers", points=1, hint="Try it: each statement can be tested with your functions in three lines.")
def test_answers_statements(student):
    """short_answers names all statements that are true, and no other."""
    if set(student.short_answers()["true"]) != set("adfh"):
        fail("A true statement is missing, or a false one is named.")


# ----------------------------------------------------------------------------------------------------- 7. bug


def by_rows(q, k, v, mask=None):
    """Right: a softmax of the allowed keys only, row by row."""
    scores = scores_of(q, k)
    allowed = torch.ones_like(scores, dtype=torch.bool) if mask is None else mask.expand(scores.shape)
    lead = scores.shape[:-1]
    v = v.unsqueeze(-3).expand(*lead, *v.shape[-2:]).reshape(-1, *v.shape[-2:])
    rows = zip(scores.reshape(-1, scores.shape[-1]), allowed.reshape(-1, scores.shape[-1]), v, strict=True)
    output = [score[keep].softmax(0) @ values[keep] for score, keep, values in rows]
    return torch.stack(output).view(*lead, -1)


def by_exponentials(q, k, v, mask=None):
    """Right: exponentials of the scores less their maximum, in float64, and a sum that is never 0."""
    scores = torch.einsum("...id,...jd->...ij", q.double(), k.double()) * q.shape[-1] ** -0.5
    if mask is None:
        mask = torch.ones((), dtype=torch.bool)
    scores = scores.masked_fill(~mask, -1e300)
    parts = (scores - scores.detach().amax(-1, keepdim=True)).exp() * mask
    total = parts.sum(-1, keepdim=True)
    return torch.einsum("...ij,...je->...ie", parts / total.clamp(min=1e-300), v.double()).to(q.dtype)


def built_in(q, k, v, mask=None):
    """Right: PyTorch's own, which gives zeros for fully masked rows as well."""
    if mask is None:
        return torch.nn.functional.scaled_dot_product_attention(q, k, v)
    some = mask.any(-1, keepdim=True)
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, mask | ~some) * some


RIGHT = (by_rows, by_exponentials, built_in)


def suspect(*, scale=None, dim=-1, softmax=None, hidden=None, read=None, after=None):
    """An implementation that may do one thing wrong."""

    def fn(q, k, v, mask=None):
        dividend = math.sqrt(q.shape[-1]) if scale is None else scale(q, k, v)
        scores = q @ k.transpose(-2, -1) / dividend
        if mask is not None:
            mask = mask if read is None else read(mask)
            low = torch.finfo(scores.dtype).min
            scores = scores.masked_fill(~mask, low) if hidden is None else hidden(scores, mask)
        weights = scores.softmax(dim) if softmax is None else softmax(scores)
        if mask is not None:
            weights = weights.masked_fill(~mask, 0) if after is None else after(weights, mask)
        return weights @ v

    return fn


def overflowing(scores):
    """A softmax without the maximum."""
    parts = scores.exp()
    return parts / parts.sum(-1, keepdim=True)


WRONG_FORMULAS = (
    suspect(scale=lambda q, k, v: 1.0),
    suspect(scale=lambda q, k, v: q.shape[-1]),
    suspect(scale=lambda q, k, v: math.sqrt(v.shape[-1])),
    suspect(scale=lambda q, k, v: math.sqrt(k.shape[-2])),
    suspect(dim=-2),
    suspect(dim=0),
    suspect(softmax=overflowing),
)

WRONG_MASKS = (
    suspect(read=lambda mask: ~mask, after=lambda weights, mask: weights),
    suspect(hidden=lambda scores, mask: scores, after=lambda weights, mask: weights),
    suspect(hidden=lambda scores, mask: scores * mask, after=lambda weights, mask: weights),
    suspect(hidden=lambda scores, mask: scores),
    suspect(hidden=lambda scores, mask: scores - 5.0 * ~mask, after=lambda weights, mask: weights),
    suspect(read=lambda mask: mask[:1] if mask.ndim > 2 else mask),
)

WRONG_ROWS = (
    suspect(after=lambda weights, mask: weights),
    suspect(hidden=lambda scores, mask: scores.masked_fill(~mask, -math.inf), after=lambda weights, mask: weights),
    suspect(
        hidden=lambda scores, mask: scores + torch.zeros_like(scores).masked_fill(~mask, -math.inf),
        after=lambda weights, mask: weights.nan_to_num(),
    ),
)


def accepts(student, fn):
    """Whether check_attention takes an implementation for right, after calling it."""
    called = spy(fn, max_calls=20)
    try:
        verdict, accepted = student.check_attention(called), True
    except AssertionError:
        verdict, accepted = None, False
    if called.calls == 0:
        fail("An implementation was judged without being called.", kind="cost")
    if verdict is not None:
        fail("None is due when the implementation is right.", kind="type")
    return accepted


@check(
    "bug",
    points=1,
    hint="Compare values with a tolerance, and ask for nothing that the specification does not promise.",
)
def test_bug_right(student):
    """check_attention accepts right implementations in other styles."""
    if not all(accepts(student, fn) for fn in RIGHT):
        fail("A right implementation was taken for wrong.")


@check("bug", points=1, hint="Use sizes that all differ, and large scores as well as small ones.")
def test_bug_formulas(student):
    """check_attention catches wrong scales, wrong dimensions, and exponentials that overflow."""
    if any(accepts(student, fn) for fn in WRONG_FORMULAS):
        fail("A wrong implementation was taken for right.")


@check(
    "bug", points=1, hint="Use a mask that differs between samples and has a fully masked row; look at gradients too."
)
def test_bug_masks(student):
    """check_attention catches wrong masks, and wrong values or gradients where a row is fully masked."""
    if any(accepts(student, fn) for fn in (*WRONG_MASKS, *WRONG_ROWS)):
        fail("A wrong implementation was taken for right.")
