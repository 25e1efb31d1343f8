"""Public checks of self-attention: the ones that students run themselves.

They count when a notebook is marked; the gate of each exercise is here. Worth 29 of the 100 points.
"""

import math

import torch

from grader.checks import check, close, contract, fail, forbid, probe, spy

# Policy for all exercises, told to students at the top of the notebook. The operators catch every alias on the way.
FORBIDDEN = [
    forbid(
        "*",
        names=(
            "torch.nn.functional.scaled_dot_product_attention",
            "torch.nn.functional.multi_head_attention_forward",
            "torch.nn.MultiheadAttention",
            "torch.nn.Transformer*",
            "torch.nn.attention.flex_attention.*",
        ),
        ops=(
            "aten::scaled_dot_product_attention",
            "aten::_scaled_dot_product_attention_math",
            "aten::_scaled_dot_product_flash_attention",
            "aten::_scaled_dot_product_flash_attention_for_cpu",
            "aten::_scaled_dot_product_efficient_attention",
            "aten::_scaled_dot_product_cudnn_attention",
            "aten::_safe_softmax",
            "aten::_native_multi_head_attention",
            "aten::_transformer_encoder_layer_fwd",
        ),
        instead="matrix products, masked_fill and softmax",
    )
]

BOTH_DTYPES = (torch.float64, torch.float32)


def randn(rng, *shape, dtype=torch.float64):
    """Standard normal numbers, the same ones for both dtypes."""
    return torch.randn(*shape, generator=rng, dtype=torch.float64).to(dtype)


def random_mask(rng, *shape):
    """A random mask in which the first key is always allowed, so that no row is fully masked."""
    mask = torch.rand(*shape, generator=rng) < 0.5
    mask[..., 0] = True
    mask[..., -1] = False
    return mask


def scores_of(q, k):
    """The scaled scores."""
    return q @ k.mT / math.sqrt(q.shape[-1])


def weights_of(scores, mask=None):
    """The weights that are due; rows without any allowed key are zero."""
    if mask is None:
        return scores.softmax(-1)
    mask = mask.expand(scores.shape)
    weights = scores.masked_fill(~mask, -math.inf).softmax(-1)
    return torch.where(mask.any(-1, keepdim=True), weights, torch.zeros_like(weights))


def attend(q, k, v, mask=None):
    """The output that is due."""
    return weights_of(scores_of(q, k), mask) @ v


def gradients(output, inputs, what, upstream=None):
    """The gradients of the sum of ``output · upstream``; a sentence for the student where there are none."""
    if not output.requires_grad:
        fail("The result is cut off from autograd: no gradient flows back to the input.", kind="gradient")
    found = torch.autograd.grad(output, inputs, upstream, allow_unused=True)
    for gradient, name in zip(found, what, strict=True):
        if gradient is None:
            fail(f"No gradient flows back to {name}.", kind="gradient")
    return found


def slopes(compute, inputs, upstream):
    """The gradients that are due."""
    leaves = [value.detach().clone().requires_grad_() for value in inputs]
    return torch.autograd.grad(compute(*leaves), leaves, upstream)


# ----------------------------------------------------------------------------------------------- 1. attention


@check(
    "attention",
    points=4,
    gate=True,
    hint="q @ k.transpose(-2, -1), divided by the root of q.shape[-1]; softmax along the last dimension; @ v.",
)
def test_attention_values(student, rng):
    """scaled_dot_product_attention gives softmax(q kᵀ / √d) v, and its gradients."""
    for dtype in BOTH_DTYPES:
        q, k, v, upstream = (
            randn(rng, 2, *shape, dtype=dtype).requires_grad_() for shape in ((3, 4), (5, 4), (5, 6), (3, 6))
        )
        scores, values = scores_of(q, k).detach(), v.detach()
        result = contract(student.scaled_dot_product_attention, q, k, v)
        close(
            result,
            scores.softmax(-1) @ values,
            misconceptions={
                "the scores were not divided by √d": (2 * scores).softmax(-1) @ values,
                "the scores were divided by d instead of √d": (scores / 2).softmax(-1) @ values,
                "the scores were multiplied by √d; divide by it": (4 * scores).softmax(-1) @ values,
                "the softmax was taken over the queries; it belongs along the keys": scores.softmax(-2) @ values,
                "the softmax is missing": scores @ values,
                "the mean was taken with equal weights": scores.mul(0).softmax(-1) @ values,
            },
        )
        found = gradients(result, (q, k, v), ("q", "k", "v"), upstream.detach())
        for gradient, due, name in zip(found, slopes(attend, (q, k, v), upstream.detach()), "qkv", strict=True):
            close(gradient, due, what=f"the gradient of {name}")


@check(
    "attention",
    points=3,
    hint="Masked scores must be −∞, or so low that exp is 0, before the softmax: then the others share all the weight.",
)
def test_attention_mask(student, rng):
    """scaled_dot_product_attention gives weight only to keys where the mask is True, and their weights sum to one."""
    for dtype in BOTH_DTYPES:
        q, k, v = (randn(rng, 2, *shape, dtype=dtype) for shape in ((3, 4), (5, 4), (5, 2)))
        scores = scores_of(q, k)
        for mask in (random_mask(rng, 3, 5), random_mask(rng, 2, 1, 5)):
            wide = mask.expand(scores.shape)
            close(
                contract(student.scaled_dot_product_attention, q, k, v, mask),
                attend(q, k, v, mask),
                misconceptions={
                    "the mask was read the other way round; True means that attention is allowed": weights_of(
                        scores, ~mask
                    )
                    @ v,
                    "the mask was ignored": scores.softmax(-1) @ v,
                    "masked scores were set to 0, and e⁰ is 1": (scores * wide).softmax(-1) @ v,
                    "weights were set to 0 after the softmax, so that the others no longer sum to one": (
                        scores.softmax(-1) * wide
                    )
                    @ v,
                },
            )


@check("attention", points=2, hint="return output, weights: a tuple, and only when return_weights is true.")
def test_attention_weights(student, rng):
    """scaled_dot_product_attention with return_weights=True also returns the weights, whose rows sum to one."""
    for dtype in BOTH_DTYPES:
        q, k, v = (randn(rng, 2, *shape, dtype=dtype) for shape in ((3, 4), (5, 4), (5, 2)))
        for mask in (None, random_mask(rng, 3, 5)):
            result = contract(student.scaled_dot_product_attention, q, k, v, mask, return_weights=True)
            if not isinstance(result, tuple) or len(result) != 2:
                fail("With return_weights=True, a tuple of two is due: (output, weights).", kind="type")
            output, weights = result
            close(output, attend(q, k, v, mask), what="the output")
            close(
                weights,
                weights_of(scores_of(q, k), mask),
                what="the weights",
                misconceptions={"the scores were returned in the place of the weights": scores_of(q, k)},
            )


# --------------------------------------------------------------------------------------------------- 2. masks


@check("masks", points=1, gate=True, hint="Row i is the query, column j the key: True where j ≤ i, itself included.")
def test_causal_mask_values(student):
    """causal_mask lets each token see itself and what came before it."""
    due = torch.tensor([[j <= i for j in range(5)] for i in range(5)])
    close(
        contract(student.causal_mask, 5),
        due,
        what="the mask",
        misconceptions={
            "rows and columns were swapped: tokens see the future": due.T,
            "tokens cannot see themselves; they may": due & ~torch.eye(5, dtype=torch.bool),
            "the mask is True where attention is forbidden; True means allowed": ~due,
        },
    )


@check("masks", points=1, hint="Compare torch.arange(L) with the lengths, and insert the two dimensions of size 1.")
def test_padding_mask_values(student):
    """padding_mask allows the first tokens of each sequence, as many as its length says."""
    due = torch.tensor([[j < length for j in range(5)] for length in (3, 5, 1)])[:, None, None]
    close(
        contract(student.padding_mask, torch.tensor([3, 5, 1]), 5),
        due,
        what="the mask",
        misconceptions={
            "the mask is True where the padding is; True means allowed": ~due,
            "one token too many is allowed": due | due.roll(1, -1),
            "the padding was taken to be at the beginning; it is at the end": due.flip(-1),
        },
    )


@check("masks", points=1, hint="The distance of query i and key j is |i − j|; the window itself is included.")
def test_local_mask_values(student):
    """local_mask lets each token see those at a distance of at most the window, on both sides."""
    distance = torch.tensor([[i - j for j in range(8)] for i in range(8)])
    due = distance.abs() <= 3
    close(
        contract(student.local_mask, 8, 3),
        due,
        what="the mask",
        misconceptions={
            "the distance was taken below the window; equal to it is allowed": distance.abs() < 3,
            "only the past was allowed; the window has two sides": due & (distance >= 0),
            "the window was taken for the whole width; it reaches that far to each side": distance.abs() <= 1,
            "the mask is True where attention is forbidden; True means allowed": ~due,
        },
    )


# ---------------------------------------------------------------------------------------------- 3. positional


def encoding(positions, d, base=10000.0, *, exponent_of=None):
    """The encoding of some positions, in float64."""
    columns = torch.arange(d)
    omega = torch.tensor(float(base), dtype=torch.float64) ** (-2 * (columns // 2).double() / (exponent_of or d))
    angles = torch.as_tensor(positions, dtype=torch.float64)[:, None] * omega
    return torch.where(columns % 2 == 0, angles.sin(), angles.cos())


@check("positional", points=2, gate=True, hint="Column 2i is sin(p · base^(−2i/d)), column 2i + 1 its cosine.")
def test_positional_values(student):
    """positional_encoding gives sines and cosines in turns, in float32."""
    for n, d in ((7, 6), (4, 8)):
        due = encoding(range(n), d)
        close(
            contract(student.positional_encoding, n, d),
            due.float(),
            rtol=0,
            atol=1e-6,
            what="the encoding",
            misconceptions={
                "all sines stand first, then all cosines; they take turns": torch.cat(
                    [due[:, ::2], due[:, 1::2]], 1
                ).float(),
                "sine and cosine were swapped; the sine comes first": due.view(n, -1, 2).flip(2).flatten(1).float(),
                "positions were counted from 1; the first is 0": encoding(range(1, n + 1), d).float(),
                "the exponent is i/d instead of 2i/d": encoding(range(n), d, exponent_of=2 * d).float(),
            },
        )


@check("positional", points=1, hint="For odd d there is one sine more than cosines; the exponent keeps d as it is.")
def test_positional_odd(student):
    """positional_encoding ends with a sine when d is odd."""
    for n, d in ((5, 5), (3, 7)):
        close(
            contract(student.positional_encoding, n, d),
            encoding(range(n), d).float(),
            rtol=0,
            atol=1e-6,
            what="the encoding",
            misconceptions={
                "d was rounded up to an even number in the exponent": encoding(range(n), d, exponent_of=d + 1).float(),
                "d was rounded down to an even number in the exponent": encoding(
                    range(n), d, exponent_of=d - 1
                ).float(),
            },
        )


# ----------------------------------------------------------------------------------------------- 4. multihead

MAPS = ("q_proj", "k_proj", "v_proj", "out_proj")


def random_state(rng, d_model, *, bias=True, dtype=torch.float64):
    """A state_dict with four different matrices and biases."""
    state = {f"{name}.weight": randn(rng, d_model, d_model, dtype=dtype) / math.sqrt(d_model) for name in MAPS}
    if bias:
        state |= {f"{name}.bias": randn(rng, d_model, dtype=dtype) for name in MAPS}
    return state


def multihead(state, x, n_heads, mask=None, *, order=("q_proj", "k_proj", "v_proj"), split=None, scale=1.0):
    """What multi-head self-attention gives with these parameters; or, with other options, what a mistake gives."""
    B, L, D = x.shape

    def projected(name, value):
        return torch.nn.functional.linear(value, state[f"{name}.weight"], state.get(f"{name}.bias"))

    split = split or (lambda t: t.reshape(B, L, n_heads, D // n_heads).transpose(1, 2))
    q, k, v = (split(projected(name, x)) for name in order)
    heads = attend(scale * q, k, v, mask).transpose(1, 2).reshape(B, L, D)
    return projected("out_proj", heads)


def built(student, d_model, n_heads, state, **options):
    """The student's module with these parameters."""
    module = student.MultiHeadSelfAttention(d_model, n_heads, **options)
    if next(iter(state.values())).dtype == torch.float64:
        module = module.double()
    module.load_state_dict(state)
    return module


@check(
    "multihead",
    points=4,
    gate=True,
    hint="(B, L, D) → (B, L, H, D/H) → transpose → (B, H, L, D/H): attend, transpose back, flatten, out_proj.",
)
def test_multihead_values(student, rng):
    """MultiHeadSelfAttention attends with three heads side by side, and maps what they say with out_proj."""
    for dtype in BOTH_DTYPES:
        state, x = random_state(rng, 12, dtype=dtype), randn(rng, 2, 5, 12, dtype=dtype).requires_grad_()
        value, upstream = x.detach(), randn(rng, 2, 5, 12, dtype=dtype)
        result = contract(built(student, 12, 3, state), x)
        due = multihead(state, value, 3)
        close(
            result,
            due,
            rtol=1e-5 if dtype == torch.float32 else 1e-9,
            atol=1e-5 if dtype == torch.float32 else 1e-9,
            misconceptions={
                "(B, L, D) was reshaped to (B, H, L, D/H) at once, which mixes tokens with heads": lambda: multihead(
                    state, value, 3, split=lambda t: t.reshape(2, 3, 5, 4)
                ),
                "columns were dealt to the heads in turns; consecutive ones belong together": lambda: multihead(
                    state, value, 3, split=lambda t: t.reshape(2, 5, 4, 3).permute(0, 3, 1, 2)
                ),
                "the scores were divided by the root of d_model; the width of a head counts": lambda: multihead(
                    state, value, 3, scale=3**-0.5
                ),
                "keys and values were swapped": lambda: multihead(
                    state, value, 3, order=("q_proj", "v_proj", "k_proj")
                ),
                "queries and keys were swapped": lambda: multihead(
                    state, value, 3, order=("k_proj", "q_proj", "v_proj")
                ),
                "there is only one head, as wide as the model": lambda: multihead(state, value, 1),
                "out_proj was not applied": lambda: multihead(
                    {**state, "out_proj.weight": torch.eye(12, dtype=dtype), "out_proj.bias": torch.zeros(())}, value, 3
                ),
            },
        )
        (found,) = gradients(result, (x,), ("x",), upstream)
        (slope,) = slopes(lambda t: multihead(state, t, 3), (x,), upstream)
        close(
            found,
            slope,
            rtol=1e-4 if dtype == torch.float32 else 1e-8,
            atol=1e-4 if dtype == torch.float32 else 1e-8,
            what="the gradient of x",
        )


@check("multihead", points=2, hint="With causal=True, a token sees itself and what came before: causal_mask(L).")
def test_multihead_causal_values(student, rng):
    """MultiHeadSelfAttention with causal=True hides the future from each token."""
    state, x = random_state(rng, 8), randn(rng, 2, 5, 8)
    past = torch.ones(5, 5, dtype=torch.bool).tril()
    close(
        contract(built(student, 8, 2, state), x, causal=True),
        multihead(state, x, 2, past),
        misconceptions={
            "causal=True made no difference": lambda: multihead(state, x, 2),
            "the past was hidden and the future shown": lambda: multihead(state, x, 2, past.T),
            "tokens cannot see themselves; they may": lambda: multihead(state, x, 2, past.tril(-1)),
        },
    )


@check("multihead", points=2, hint="Four nn.Linear(d_model, d_model) by these names, and no other parameter or buffer.")
def test_multihead_state(student):
    """MultiHeadSelfAttention holds the weights and biases of q_proj, k_proj, v_proj and out_proj, and nothing else."""
    shapes, linear = anatomy(student, 6, 2)
    if not all(linear):
        fail("q_proj, k_proj, v_proj and out_proj must each be an nn.Linear.", kind="type")
    due = {f"{name}.weight": (6, 6) for name in MAPS} | {f"{name}.bias": (6,) for name in MAPS}
    if set(shapes) != set(due):
        fail("The state_dict does not hold the eight tensors that are due, or holds others.", kind="state")
    close({name: shapes[name] for name in due}, due, what="the shapes in the state_dict")


@probe
def anatomy(student, *args, **options):
    """The shapes in the state_dict, and which of the four maps is an nn.Linear."""
    module = student.MultiHeadSelfAttention(*args, **options)
    maps = [getattr(module, name, None) for name in ("q_proj", "k_proj", "v_proj", "out_proj")]
    shapes = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    return shapes, [isinstance(each, torch.nn.Linear) for each in maps]


# ----------------------------------------------------------------------------------------------- 5. truncated


def distances(n):
    """The matrix of j − i."""
    return torch.arange(n) - torch.arange(n)[:, None]


def padded(q, k, v, window):
    """The mistake of letting zeros beyond the ends take part."""
    ends = (0, 0, window, window)
    k, v = (torch.nn.functional.pad(value, ends) for value in (k, v))
    mask = (distances(k.shape[-2])[: q.shape[-2]] - window).abs() <= window
    return attend(q, k, v, mask)


@check(
    "truncated",
    points=3,
    gate=True,
    hint="The same as attention with local_mask(n, window): compare on a short sequence, row by row.",
)
def test_truncated_values(student, rng):
    """truncated_self_attention attends to the tokens at a distance of at most the window, with the right gradients."""
    distance = distances(7)
    near = distance.abs() <= 2
    for dtype in BOTH_DTYPES:
        q, k, v, upstream = (randn(rng, 2, 7, width, dtype=dtype).requires_grad_() for width in (4, 4, 3, 3))
        a, b, c = (value.detach() for value in (q, k, v))
        result = contract(student.truncated_self_attention, q, k, v, 2)
        close(
            result,
            attend(a, b, c, near),
            misconceptions={
                "the window was ignored": lambda a=a, b=b, c=c: attend(a, b, c),
                "only the past was seen; the window has two sides": lambda a=a, b=b, c=c: attend(
                    a, b, c, near & (distance <= 0)
                ),
                "the window reaches one token less than it should": lambda a=a, b=b, c=c: attend(
                    a, b, c, distance.abs() < 2
                ),
                "the scores were not divided by √d": lambda a=a, b=b, c=c: attend(2 * a, b, c, near),
                "zeros beyond the ends of the sequence take part": lambda a=a, b=b, c=c: padded(a, b, c, 2),
                "the weights of the whole sequence were cut off, so that they no longer sum to one": (
                    lambda a=a, b=b, c=c: (weights_of(scores_of(a, b)) * near) @ c
                ),
            },
        )
        found = gradients(result, (q, k, v), ("q", "k", "v"), upstream.detach())
        due = slopes(lambda q, k, v: attend(q, k, v, near), (q, k, v), upstream.detach())
        for gradient, slope, name in zip(found, due, "qkv", strict=True):
            close(gradient, slope, what=f"the gradient of {name}")


@check(
    "truncated", points=1, hint="A window may reach far beyond both ends: shorten it to n − 1, or mask what is outside."
)
def test_truncated_ends(student, rng):
    """truncated_self_attention with window 0 returns the values, and with a window of n or more is full attention."""
    q, k, v = (randn(rng, 4, width) for width in (3, 3, 2))
    close(contract(student.truncated_self_attention, q, k, v, 0), v)
    for window in (3, 4, 9):
        close(student.truncated_self_attention(q, k, v, window), attend(q, k, v))


# ------------------------------------------------------------------------------------------------- 6. answers


@check("answers", points=1, gate=True, hint="Draw 100 000 pairs of such vectors, and look at the variance of q · k.")
def test_answers_form(student, rng):
    """short_answers gives three whole numbers and some letters, and the variance fits what random vectors show."""
    answers = contract(student.short_answers)
    if not isinstance(answers, dict) or set(answers) != {"variance", "heads", "pairs", "true"}:
        fail('A dictionary is due with the keys "variance", "heads", "pairs" and "true".', kind="type")
    if any(type(answers[key]) is not int for key in ("variance", "heads", "pairs")):
        fail('"variance", "heads" and "pairs" are whole numbers: int.', kind="type")
    if type(answers["true"]) is not str or not set(answers["true"]) <= set("abcdefgh"):
        fail('"true" is a string of letters from a to h.', kind="type")
    draws = 10_000
    q, k = 2 * randn(rng, draws, 64), randn(rng, draws, 64)
    measured = (q * k).sum(1).var().item()
    # The variance of the estimate is (κ − 1)/n of its square, with a kurtosis κ of 3 + 6/64.
    close(
        float(answers["variance"]),
        measured,
        rtol=6 * math.sqrt(2.1 / draws),
        atol=0.0,
        what="the variance",
        misconceptions={
            "that is the standard deviation; the variance is its square": math.sqrt(measured),
            "that is the variance after the division by √d": measured / 64,
            "the variance of the entries of q was taken for their standard deviation": 4 * measured,
            "the variance of q was left out": measured / 4,
        },
    )


# ----------------------------------------------------------------------------------------------------- 7. bug


def right_attention(q, k, v, mask=None):
    """A right implementation."""
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is None:
        return scores.softmax(-1) @ v
    scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return scores.softmax(-1).masked_fill(~mask, 0) @ v


def sideways_attention(q, k, v, mask=None):
    """The notebook's suspect."""
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is None:
        return scores.softmax(1) @ v
    scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return scores.softmax(1).masked_fill(~mask, 0) @ v


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


@probe
def twice(student, fn):
    """Run check_attention after two different seeds; return the states of the global generator, and the grad mode."""
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        student.check_attention(fn)
        states.append(torch.get_rng_state())
    return states, torch.is_grad_enabled()


@check("bug", points=1, gate=True, hint="Compare with what is right for several shapes: with batch dimensions too.")
def test_bug_shown(student):
    """check_attention accepts a right implementation and raises AssertionError for the one with the wrong dimension."""
    if not accepts(student, right_attention):
        fail("A right implementation was taken for wrong.")
    if accepts(student, sideways_attention):
        fail("The implementation with the softmax along dimension 1 was taken for right.")
    states, grad_mode = twice(student, right_attention)
    if torch.equal(*states):
        fail("The global random generator is seeded; use a generator of your own.", kind="randomness")
    if not grad_mode:
        fail("Gradients were switched off and stayed off.", kind="side-effect")
