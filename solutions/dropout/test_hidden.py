"""Hidden checks of dropout: 70 of the 100 points.

The gates are in test_public.py. Statistics are judged at six standard deviations of the estimator, with draws from
``rng``: a right answer fails less than once in a hundred thousand runs. Many draws are one tensor, not many calls.
"""

import math

import pytest
import torch

from grader.checks import check, close, contract, fail, holds, probe, race, spy, type_names, watch

F64 = torch.float64
ALL_DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
NOT_PROBABILITIES = (-0.1, 1.1, 2.0, math.nan, math.inf, -math.inf)
ROUNDING = {torch.float64: 1e-12, torch.float32: 1e-6, torch.bfloat16: 1.6e-2, torch.float16: 4e-3}
"""Two roundings: that of 1 / (1 − p) to the dtype, and that of the product."""


def seeded(rng):
    """A generator of its own, as the student's functions take it."""
    return torch.Generator().manual_seed(int(torch.randint(2**40, (), generator=rng)))


def copied(generator):
    """Another generator in the same state."""
    return torch.Generator().set_state(generator.get_state())


def nonzero(rng, *shape, dtype=F64):
    """Numbers between 1 and 2 in size, of either sign: a zero in a result is then a dropped entry."""
    sign = torch.randint(0, 2, shape, generator=rng) * 2 - 1
    return ((1 + torch.rand(shape, generator=rng, dtype=F64)) * sign).to(dtype)


def ones(*shape):
    """Ones in float64."""
    return torch.ones(shape, dtype=F64)


def gradient_of(output, x):
    """The gradient of the sum of ``output``; a sentence for the student where autograd cannot give it."""
    if not isinstance(output, torch.Tensor) or not output.requires_grad:
        fail("The result is cut off from autograd: no gradient flows back to the input.", kind="gradient")
    return torch.autograd.grad(output.sum(), x)[0]


def dropped(result, shape):
    """Where a result is zero, as float64; ends the check if it has not this shape."""
    if not isinstance(result, torch.Tensor) or result.shape != shape:
        close(result, torch.zeros(shape), check_dtype=False)
    return (result.detach() == 0).double()


def right_rate(zeros, p, what="entries"):
    """End the check unless the share of zeros is p, give or take six standard deviations."""
    n = zeros.numel()
    rate, sigma = zeros.mean().item(), (p * (1 - p) / n) ** 0.5
    if abs(rate - p) > 6 * sigma:
        swapped = abs(rate - (1 - p)) <= 6 * sigma
        fail(
            f"The share of dropped {what} is not p.",
            kind="randomness",
            misconception="p was taken for the probability of keeping; it is that of dropping" if swapped else None,
        )


def spread(counts, n, p):
    """Whether counts out of n vary as those of independent coins do: 0 if so, else −1 (too little) or 1 (too much).

    The sum of the squared, standardised counts has the mean k and the variance k · (2 + (1 − 6pq) / npq).
    """
    k, variance = counts.numel(), n * p * (1 - p)
    total = ((counts - n * p).square() / variance).sum().item()
    sigma = (k * (2 + (1 - 6 * p * (1 - p)) / variance)) ** 0.5
    return 0 if abs(total - k) <= 6 * sigma else math.copysign(1, total - k)


def independent(zeros, p, what="entries"):
    """End the check unless the zeros of a mask look like independent coins, along and across every dimension."""
    for dim, size in enumerate(zeros.shape):
        way = spread(zeros.sum(dim), size, p)
        if way:
            sentence = "are dropped together" if way > 0 else "share a fixed number of drops"
            fail(f"Some {what} are not dropped independently: lines of them {sentence}.", kind="randomness")
        both = (zeros.narrow(dim, 1, size - 1) - p) * (zeros.narrow(dim, 0, size - 1) - p)
        if abs(both.sum().item()) > 6 * p * (1 - p) * both.numel() ** 0.5:
            fail(f"Neighbouring {what} are not dropped independently of each other.", kind="randomness")


def fresh_and_reproducible(call, rng, shape):
    """Judge the use of a generator: ``call(generator)`` draws from the one that it gets, and from None.

    Equal generators give equal results; one generator that goes on, different generators, and calls without one give
    different results.
    """
    generator = seeded(rng)
    again = copied(generator)
    first, second = call(generator), call(generator)
    if not torch.equal(dropped(first, shape), dropped(call(again), shape)):
        fail("Generators in equal states gave different masks.", kind="randomness")
    if not torch.equal(dropped(second, shape), dropped(call(again), shape)):
        fail("The second of two calls is not reproducible.", kind="randomness")
    if torch.equal(dropped(first, shape), dropped(second, shape)):
        fail("Two calls with the same generator gave the same mask: it must go on.", kind="randomness")
    if torch.equal(dropped(first, shape), dropped(call(seeded(rng)), shape)):
        fail("Another generator gave the same mask: use the one that is handed in.", kind="randomness")
    if torch.equal(dropped(call(None), shape), dropped(call(None), shape)):
        fail("Without a generator, each call must give another mask.", kind="randomness")


def refuses(call):
    """End the check unless ``call(p)`` raises ValueError for everything that is no probability."""
    for p in NOT_PROBABILITIES:
        with pytest.raises(ValueError):
            call(p)


# ---------------------------------------------------------------------------------------------------- 1. mask


@check("mask", points=3, hint="u < p for a uniform u in [0, 1) has exactly probability p; it decides about dropping.")
def test_mask_rate(student, rng):
    """dropout_mask drops each entry with probability p, for small and large p."""
    for p in (0.1, 0.3, 0.5, 0.9):
        right_rate(dropped(student.dropout_mask((200, 200), p, generator=seeded(rng)), (200, 200)), p)


@check("mask", points=3, hint="One coin for each entry: no mask for a row that is repeated, no permutation.")
def test_mask_independence(student, rng):
    """dropout_mask drops entries independently along every dimension, neighbours included."""
    for shape in ((200, 200), (40, 20, 50)):
        for p in (0.2, 0.5, 0.8):
            independent(dropped(student.dropout_mask(shape, p, generator=seeded(rng)), shape), p)


@probe
def many_masks(student, generator, p):
    """Many masks of 100 entries in a row."""
    masks = [student.dropout_mask((100,), p, generator=generator) for _ in range(400)]
    return torch.stack([torch.as_tensor(mask) for mask in masks])


@check("mask", points=2, hint="Flip a coin for each entry; don't choose a fixed number of entries.")
def test_mask_counts(student, rng):
    """dropout_mask drops a number of entries that varies from call to call, independently of the last call."""
    zeros = dropped(many_masks(student, seeded(rng), 0.3), (400, 100))
    right_rate(zeros, 0.3)
    independent(zeros, 0.3)


@check("mask", points=1, hint="The mask has the dtype that is asked for, and (1,) and () are shapes as well.")
def test_mask_shapes(student, rng):
    """dropout_mask takes any shape, also an empty one, and all four floating-point dtypes."""
    for shape in ((), (7,), (0, 3), torch.Size([2, 1, 3, 2])):
        for dtype in ALL_DTYPES:
            device = "cpu" if dtype == F64 else None
            mask = student.dropout_mask(shape, 0.3, generator=seeded(rng), dtype=dtype, device=device)
            kept = 1 - dropped(mask, tuple(shape))
            close(mask, (kept / 0.7).to(dtype), rtol=ROUNDING[dtype], atol=0, what="the mask")
            if mask.requires_grad:
                fail("The mask requires grad: it is a constant.", kind="gradient")
    for dtype in ALL_DTYPES:
        close(student.dropout_mask((50,), 1.0, generator=seeded(rng), dtype=dtype), torch.zeros(50, dtype=dtype))


@check("mask", points=1, hint="`not 0 <= p <= 1` is True for NaN as well.")
def test_mask_bad_p(student):
    """dropout_mask raises ValueError for everything that is no probability, NaN included."""
    refuses(lambda p: student.dropout_mask((3,), p))


@check("mask", points=2, hint="Hand the generator to the function that draws, in every case, and never seed anything.")
def test_mask_generator(student, rng):
    """dropout_mask draws from the generator that it gets, or from PyTorch's global one, and seeds nothing."""
    fresh_and_reproducible(lambda g: student.dropout_mask((40, 5), 0.5, generator=g), rng, (40, 5))
    contract(student.dropout_mask, (40, 5), 0.5, draws_rng=True)
    for p in (0.5, 1.0, 0.0):
        contract(student.dropout_mask, (40, 5), p, generator=seeded(rng), dtype=F64)


# ------------------------------------------------------------------------------------------------- 2. dropout


@check("dropout", points=2, hint="Each entry has its own coin, and survivors are divided by 1 − p.")
def test_dropout_expectation(student, rng):
    """dropout leaves the expectation of each single entry as it is: checked with 40 000 draws."""
    x = nonzero(rng, 6)
    for p in (0.3, 0.8):
        mean = student.dropout(x.expand(40_000, 6), p, True, seeded(rng)).mean(0)
        close(mean / x, ones(6), rtol=0, atol=6 * (p / (1 - p) / 40_000) ** 0.5, what="the mean over 40 000 draws")


@check(
    "dropout", points=2, hint="One coin for each entry of x, whatever its shape; and p is the probability of dropping."
)
def test_dropout_independence(student, rng):
    """dropout drops single entries with probability p, independently along every dimension."""
    for shape in ((200, 200), (40, 20, 50)):
        for p in (0.3, 0.9):
            zeros = dropped(student.dropout(ones(*shape), p, True, seeded(rng)), shape)
            right_rate(zeros, p)
            independent(zeros, p)
    zeros = dropped(student.dropout(ones(300).expand(200, 300).t(), 0.4, True, seeded(rng)), (300, 200))
    right_rate(zeros, 0.4)
    independent(zeros, 0.4)
    generator, x = seeded(rng), ones(40, 50)
    counts = {dropped(student.dropout(x, 0.4, True, generator), (40, 50)).sum().item() for _ in range(8)}
    if len(counts) == 1:
        fail("Each call drops the same number of entries.", kind="randomness")


@check("dropout", points=2, hint="Make the mask in the dtype of x; a float32 mask turns float16 into float32.")
def test_dropout_dtypes(student, rng):
    """dropout keeps float64, float32, bfloat16 and float16, in training and in evaluation, for any shape."""
    for dtype in ALL_DTYPES:
        for shape in ((), (0, 3), (9,), (2, 3, 4, 5)):
            x = nonzero(rng, *shape, dtype=dtype)
            result = student.dropout(x, 0.3, True, seeded(rng))
            kept = 1 - dropped(result, shape)
            close(result, (x.double() * kept / 0.7).to(dtype), rtol=ROUNDING[dtype], atol=0)
        close(student.dropout(x, 0.3, False), x, rtol=0, atol=0, what="evaluation")


@check(
    "dropout",
    points=2,
    hint="p = 1 divides by zero: 0 · ∞ is nan. Make the mask zero instead; x / (1 − p) isn't finite.",
)
def test_dropout_ends(student, rng):
    """dropout gives zeros with a zero gradient for p = 1, and x with the gradient one for p = 0."""
    for dtype in ALL_DTYPES:
        for p in (1.0, 0.0) if dtype.itemsize > 2 else (1, 0):
            x = nonzero(rng, 6, 4, dtype=dtype).requires_grad_()
            result = student.dropout(x, p, True, seeded(rng))
            close(result, (1 - p) * x.detach())
            close(gradient_of(result, x), torch.full_like(x, 1 - p), what="the gradient")
    contract(student.dropout, nonzero(rng, 6, 4), 1.0, True, seeded(rng))


@check("dropout", points=2, hint="Let autograd differentiate the product with the mask.")
def test_dropout_gradient(student, rng):
    """dropout's gradient is the derivative for a fixed mask, and so is the gradient of the gradient."""
    generator = seeded(rng)

    def fixed(value):
        return student.dropout(value, 0.4, True, copied(generator))

    x = nonzero(rng, 4, 5).requires_grad_()
    if not torch.autograd.gradcheck(fixed, (x,), raise_exception=False, fast_mode=True):
        fail("The gradient is not the derivative of the result.", kind="gradient")
    if not torch.autograd.gradgradcheck(fixed, (x,), raise_exception=False, fast_mode=True):
        fail("The gradient of the gradient is not the second derivative of the result.", kind="gradient")


@check("dropout", points=2, hint="Hand the generator on, also when it is None, and never call manual_seed.")
def test_dropout_generator(student, rng):
    """dropout draws from the generator that it gets, or from PyTorch's global one, and seeds nothing."""
    x = nonzero(rng, 40, 5)
    fresh_and_reproducible(lambda g: student.dropout(x, 0.5, True, g), rng, (40, 5))
    contract(student.dropout, x, 0.5, draws_rng=True)
    for p in (0.5, 1.0, 0.0):
        contract(student.dropout, x, p, generator=seeded(rng), may_alias=p == 0)


@check("dropout", points=1, hint="Look at p first, also in evaluation; the defaults are p=0.5 and training=True.")
def test_dropout_arguments(student, rng):
    """dropout raises ValueError for a bad p, in evaluation too, and has the defaults p=0.5 and training=True."""
    x = ones(100, 100)
    for training in (True, False):
        refuses(lambda p, training=training: student.dropout(x[0], p, training))
    result = student.dropout(x, generator=seeded(rng))
    kept = 1 - dropped(result, (100, 100))
    right_rate(1 - kept, 0.5)
    close(result, 2 * kept)


@check("dropout", points=1, hint="No loop over entries or rows: the mask is one tensor of the shape of x.")
def test_dropout_cost(student, reference, rng):
    """dropout needs at most 16 operations, four times the memory of x, and six times PyTorch's time, for a large x."""
    x = nonzero(rng, 512, 512, dtype=torch.float32)
    for training in (True, False):
        seen = watch(student.dropout, x, 0.5, training, seeded(rng))
        if seen.op_count > 16:
            fail("There are too many operations.", kind="cost")
        if seen.peak_bytes > 4.1 * x.nbytes:
            fail("Too much memory is used at a time.", kind="cost")
    torchs = reference.torch.nn.functional.dropout
    race(student.dropout, torchs, lambda: (tall(rng, 8192, 16), 0.5, True), at_most=6, verify=kept_or_dropped)
    holds(student.dropout, torchs, lambda: (tall(rng, 80_000, 32), 0.5, True), at_most=3, verify=kept_or_dropped)


def tall(rng, rows, columns):
    """About so many short rows; never the same number twice in a row."""
    return nonzero(rng, int(torch.randint(rows - rows // 16, rows, (), generator=rng)), columns, dtype=torch.float32)


def kept_or_dropped(result, due, x, p, training):
    """Each entry is doubled or zero, about half of them."""
    close(result, torch.where(result == 0, torch.zeros(()), 2 * x))
    right_rate(dropped(result, x.shape), p)


# -------------------------------------------------------------------------------------------------- 3. module


@probe
def belongings(student, name):
    """What a layer keeps: its keys in the state, numbers of parameters and buffers, and the classes of its modules."""
    layer = getattr(student, name)(0.3)
    classes = [f"{base.__module__}.{base.__qualname__}" for each in layer.modules() for base in type(each).__mro__]
    return list(layer.state_dict()), len(list(layer.parameters())), len(list(layer.buffers())), classes


def keeps_nothing(student, name):
    """End the check unless a dropout layer is a module without parameters, buffers and PyTorch's own dropout."""
    keys, parameters, buffers, classes = belongings(student, name)
    if "torch.nn.modules.module.Module" not in classes:
        fail("The class must be an nn.Module.", kind="type")
    if keys or parameters or buffers:
        fail("The layer has parameters, buffers or a state: it needs none.", kind="type")
    if any(each.startswith("torch.nn.modules.dropout.") for each in classes):
        fail("The layer is, or holds, a dropout layer of PyTorch's.", kind="forbidden")


@check("module", points=1, hint="Plain attributes are enough: no nn.Parameter, no register_buffer.")
def test_module_state(student):
    """Dropout is an nn.Module without parameters and buffers, and its state_dict is empty."""
    keeps_nothing(student, "Dropout")


@probe
def nested(student, x):
    """Outputs of a layer inside of two containers: in training twice, in evaluation, in training again."""
    model = torch.nn.Sequential(torch.nn.Identity(), torch.nn.Sequential(student.Dropout(0.5)))
    outputs = [model(x), model(x), model.eval()(x), model.train()(x)]
    model[1].eval()
    return [*outputs, model(x)]


@check("module", points=1, hint="self.training is all that is needed: containers set it.")
def test_module_nested(student, rng):
    """Dropout follows the flag of the containers that it is in."""
    x = nonzero(rng, 20, 30)
    first, second, evaluated, third, partly = nested(student, x)
    close(evaluated, x, what="evaluation")
    close(partly, x, what="evaluation of the inner container alone")
    zeros = [dropped(each, (20, 30)) for each in (first, second, third)]
    for each in zeros:
        right_rate(each, 0.5)
    if any(torch.equal(zeros[i], zeros[j]) for i, j in ((0, 1), (0, 2), (1, 2))):
        fail("Two calls in training gave the same mask.", kind="randomness")


@probe
def layer_calls(student, name, x, seeds, p):
    """For each seed, two calls of a new layer with a generator of this seed; whether the global state stayed."""
    outputs, stayed = [], []
    for seed in seeds:
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        layer = getattr(student, name)(p, generator)
        before = torch.get_rng_state()
        outputs.append([layer(x), layer(x)])
        layer.eval()(x)
        stayed.append(bool(torch.equal(before, torch.get_rng_state())))
    return outputs, stayed


@probe
def globally_seeded(student, name, x):
    """A layer without a generator, twice under the same global seed; what evaluation does to the global state."""
    layer, outputs = getattr(student, name)(0.5), []
    for _ in range(2):
        torch.manual_seed(11)
        outputs.append(layer(x))
    before = torch.get_rng_state()
    layer.eval()(x)
    return outputs, bool(torch.equal(before, torch.get_rng_state()))


def layer_draws_well(student, name, rng):
    """Judge how a layer uses its generator, and the global one when it has none."""
    x, seed = nonzero(rng, 20, 10), int(torch.randint(2**40, (), generator=rng))
    outputs, stayed = layer_calls(student, name, x, [seed, seed, seed + 1, None], 0.5)
    zeros = [[dropped(each, (20, 10)) for each in pair] for pair in outputs]
    if not all(stayed[:3]):
        fail("The global random state changed, although the layer has a generator.", kind="randomness")
    if any(torch.equal(first, second) for first, second in zeros):
        fail("Two calls in training gave the same mask.", kind="randomness")
    if not all(torch.equal(one, other) for one, other in zip(zeros[0], zeros[1], strict=True)):
        fail("Layers with equal generators gave different masks.", kind="randomness")
    if torch.equal(zeros[0][0], zeros[2][0]):
        fail("Another generator gave the same mask: use the one that is handed in.", kind="randomness")
    (one, other), untouched = globally_seeded(student, name, x)
    if not torch.equal(dropped(one, (20, 10)), dropped(other, (20, 10))):
        fail("Without a generator, masks must come from PyTorch's global one.", kind="randomness")
    if not untouched:
        fail("Random numbers were drawn in evaluation.", kind="randomness")


@check("module", points=2, hint="Keep the generator in __init__ and hand it on in every call; seed nothing.")
def test_module_generator(student, rng):
    """Dropout draws from its generator, which goes on from call to call, or from PyTorch's global one."""
    layer_draws_well(student, "Dropout", rng)


@probe
def copies(student, x):
    """A layer, its copy and a third one: p of the two, and their outputs, one in evaluation, the other in training."""
    from copy import deepcopy

    layer = student.Dropout(0.3)
    other = deepcopy(layer)
    student.Dropout(0.9).eval()
    layer.eval()
    outputs = [layer(x), other(x)]
    layer.train()
    other.eval()
    return [layer.p, other.p], [*outputs, layer(x), other(x)]


@check("module", points=1, hint="Flag and p belong to one layer: keep them in self, not in the class.")
def test_module_copies(student, rng):
    """A deep copy of a Dropout layer has the same p and a flag of its own; other layers have no say in either."""
    x = nonzero(rng, 40, 40)
    ps, (first, second, third, fourth) = copies(student, x)
    close(ps, [0.3, 0.3], what="p of layer and copy")
    close(first, x, what="the layer in evaluation")
    close(fourth, x, what="the copy in evaluation")
    for result in (second, third):
        right_rate(dropped(result, (40, 40)), 0.3)


@check("module", points=1, hint="Check p in __init__, before anything is drawn.")
def test_module_bad_p(student):
    """Dropout raises ValueError when it is made with a bad p, and takes 0 and 1."""
    refuses(student.Dropout)
    for p in (0, 1, 0.0, 1.0):
        close(student.Dropout(p)(ones(3)), (1 - p) * ones(3), what=f"the result for p = {p}")


@check("module", points=2, hint="Read self.p in forward; a factor that was computed in __init__ goes stale.")
def test_module_p(student, rng):
    """Dropout has the attribute p, 0.5 by default, and a new value counts from the next call on."""
    layer, x = student.Dropout(), ones(100, 100)
    for p in (0.5, 0.9, 0.2, 1.0, 0.0):
        if p != 0.5:
            layer.p = p
        close(layer.p, p, what="p")
        result = layer(x)
        zeros = dropped(result, (100, 100))
        right_rate(zeros, p)
        close(result, (1 - zeros) / (1 - p) if p < 1 else 0 * x)
        if p in (0.2, 0.9):
            independent(zeros, p)


# ------------------------------------------------------------------------------------------------ 4. standard


@check(
    "standard", points=2, hint="One coin for each entry, with probability p for dropping; the factor belongs to eval."
)
def test_standard_statistics(student, rng):
    """StandardDropout drops with probability p, independently, so that evaluation is the mean over the masks."""
    for p in (0.1, 0.5, 0.8):
        layer = student.StandardDropout(p, seeded(rng))
        zeros = dropped(layer(ones(200, 200)), (200, 200))
        right_rate(zeros, p)
        independent(zeros, p)
    default = student.StandardDropout()
    close(default.p, 0.5, what="p by default")
    right_rate(dropped(default(ones(200, 200)), (200, 200)), 0.5)
    default.p = 0.8
    right_rate(dropped(default(ones(200, 200)), (200, 200)), 0.8)
    close(default.eval()(ones(3)), 0.2 * ones(3), what="evaluation with a new p")


@check(
    "standard", points=1, hint="Make the mask in the dtype of x; nothing is divided, so p = 1 needs no special case."
)
def test_standard_ends(student, rng):
    """StandardDropout keeps every dtype, takes p = 0 and p = 1, and raises ValueError for what is no probability."""
    for dtype, p in zip(ALL_DTYPES, (0.0, 1.0, 1, 0), strict=True):
        x = nonzero(rng, 5, 4, dtype=dtype).requires_grad_()
        layer = student.StandardDropout(p)
        for result in (layer(x), layer.eval()(x)):
            close(result, (1 - p) * x.detach())
            close(gradient_of(result, x), torch.full_like(x, 1 - p), what="the gradient")
        layer = student.StandardDropout(0.3)
        close(layer.eval()(x), (0.7 * x.detach().double()).to(dtype), rtol=ROUNDING[dtype], atol=0, what="evaluation")
    refuses(student.StandardDropout)


@check(
    "standard", points=1, hint="Keep the generator in __init__ and hand it on in every call; evaluation draws nothing."
)
def test_standard_generator(student, rng):
    """StandardDropout draws from its generator, or from PyTorch's global one, and keeps no state otherwise."""
    layer_draws_well(student, "StandardDropout", rng)
    keeps_nothing(student, "StandardDropout")


@probe
def fold(student, given, weight, bias, p):
    """Fold, and then change the new layer: what the old layer was and is, and what the new one is."""
    linear = given.linear(weight, bias)
    kept = [value.clone() for value in linear.parameters()]
    flags = [value.requires_grad for value in linear.parameters()]
    folded = student.fold_standard_dropout(linear, p)
    result = {name: value.detach().clone() for name, value in folded.named_parameters()}
    trainable = [value.requires_grad and value.is_leaf for value in folded.parameters()]
    with torch.no_grad():
        for value in folded.parameters():
            value.add_(1)
    same = [bool(torch.equal(one, other)) for one, other in zip(kept, linear.parameters(), strict=True)]
    same += [one == other.requires_grad for one, other in zip(flags, linear.parameters(), strict=True)]
    gradient = [value.grad is None for value in linear.parameters()]
    return result, trainable, same + gradient, isinstance(folded, torch.nn.Linear), folded is linear


@check("standard", points=2, depends=("fold_values",), hint="deepcopy the layer first, then scale the copy's weight.")
def test_fold_new_layer(student, given, rng):
    """fold_standard_dropout gives a new nn.Linear that can be trained, and the old one stays as it was."""
    weight, bias = nonzero(rng, 3, 4), nonzero(rng, 3)
    result, trainable, same, is_linear, is_old = fold(student, given, weight, bias, 0.3)
    if is_old or not all(same):
        fail("The layer that was handed in has changed, or changes with the new one.", kind="mutation")
    if not is_linear:
        fail("The new layer must be an nn.Linear.", kind="type")
    close(sorted(result), ["bias", "weight"], what="the list of parameters")
    close(trainable, [True, True], what="whether weight and bias can be trained")
    close(result["weight"], 0.7 * weight, what="the weight")


@check("standard", points=2, depends=("fold_values",), hint="linear.bias may be None. The dtype is that of the weight.")
def test_fold_kinds(student, given, rng):
    """fold_standard_dropout takes layers without bias and of any dtype, and p = 0 and p = 1, but no bad p."""
    for dtype, p in ((F64, 0.0), (torch.float32, 1.0), (torch.float32, 0.3), (torch.bfloat16, 0.4)):
        weight = nonzero(rng, 2, 5, dtype=dtype)
        result, *_ = fold(student, given, weight, None, p)
        bounds = {"rtol": ROUNDING[dtype], "atol": 0.0}
        close(result, {"weight": (weight.double() * (1 - p)).to(dtype)}, **bounds, what="the parameters")
    folded = student.fold_standard_dropout(given.linear(nonzero(rng, 2, 5), nonzero(rng, 2)), 0.5)
    close([folded.in_features, folded.out_features], [5, 2], what="the list of in_features and out_features")
    refuses(lambda p: student.fold_standard_dropout(given.linear(nonzero(rng, 2, 5)), p))


@check(
    "standard",
    points=1,
    depends=("fold_values",),
    hint="nn.Linear(…) draws from the global generator; deepcopy doesn't.",
)
def test_fold_side_effects(student, given, rng):
    """fold_standard_dropout leaves the global generator and all settings alone."""
    for bias in (nonzero(rng, 3), None):
        contract(student.fold_standard_dropout, given.linear(nonzero(rng, 3, 4), bias), 0.3)


@check("standard", points=1, depends=("fold_values",), hint="W((1 − p)x) + b = ((1 − p)W)x + b.")
def test_fold_network(student, given, rng):
    """The folded layer alone gives what StandardDropout and the old layer give in evaluation, gradients included."""
    for p in (0.2, 0.6):
        x = nonzero(rng, 6, 4).requires_grad_()
        linear = given.linear(nonzero(rng, 3, 4), nonzero(rng, 3))
        result = student.fold_standard_dropout(linear, p)(x)
        due = linear(student.StandardDropout(p).eval()(x))
        close(result, due.detach())
        close(gradient_of(result, x), gradient_of(due, x), what="the gradient")


# ----------------------------------------------------------------------------------------------- 5. dropout2d


@check("dropout2d", points=2, hint="One coin for each pair of sample and channel: a mask of shape (N, C, 1, 1).")
def test_dropout2d_independence(student, rng):
    """dropout2d drops each channel of each sample with probability p, independently of all others."""
    for p in (0.2, 0.7):
        result = student.dropout2d(ones(200, 200, 1, 2), p, True, seeded(rng))
        zeros = dropped(result, (200, 200, 1, 2))[:, :, 0, 0]
        for shared, meaning in ((zeros == zeros[:1], "samples"), (zeros == zeros[:, :1], "channels")):
            if shared.all():
                fail(
                    "Many channels are dropped together.",
                    misconception=f"one coin was flipped for all {meaning}; each has its own",
                )
        right_rate(zeros, p, "channels")
        independent(zeros, p, "channels")


@check("dropout2d", points=1, hint="training=False gives x; the mask has the dtype of x; p = 1 gives zeros, not nan.")
def test_dropout2d_ends(student, rng):
    """dropout2d gives x in evaluation, zeros for p = 1 and x for p = 0, with their gradients, and keeps the dtype."""
    for dtype in (torch.float64, torch.float16):
        x = nonzero(rng, 3, 4, 2, 5, dtype=dtype).requires_grad_()
        for p, training in ((0.0, True), (1.0, True), (0.3, False), (1.0, False)):
            factor = 1 - p if training else 1.0
            result = student.dropout2d(x, p, training, seeded(rng))
            close(result, factor * x.detach())
            close(gradient_of(result, x), torch.full_like(x, factor), what="the gradient")
    contract(student.dropout2d, x, 0.5, training=False, may_alias=True)
    close(student.dropout2d(ones(2, 3, 0, 4), 0.5, True, seeded(rng)), ones(2, 3, 0, 4))


@check("dropout2d", points=1, hint="Check p and the number of dimensions before anything else, also in evaluation.")
def test_dropout2d_arguments(student, rng):
    """dropout2d raises ValueError for a bad p and for other than four dimensions; defaults are p=0.5, training=True."""
    x = ones(50, 40, 2, 2)
    for training in (True, False):
        refuses(lambda p, training=training: student.dropout2d(x[:2], p, training))
        for bad in (x[0], x[0, 0], x[None]):
            with pytest.raises(ValueError):
                student.dropout2d(bad, 0.5, training)
    result = student.dropout2d(x, generator=seeded(rng))
    kept = 1 - dropped(result, (50, 40, 2, 2))
    close(result, 2 * kept)
    right_rate(1 - kept[:, :, 0, 0], 0.5, "channels")


@check("dropout2d", points=1, hint="Hand the generator on; no loop over samples or channels.")
def test_dropout2d_generator(student, reference, rng):
    """dropout2d draws from its generator, or PyTorch's global one, in few operations and at most 6 times our time."""
    x = nonzero(rng, 20, 10, 2, 2)
    fresh_and_reproducible(lambda g: student.dropout2d(x, 0.5, True, g), rng, (20, 10, 2, 2))
    contract(student.dropout2d, x, 0.5, draws_rng=True)
    if watch(student.dropout2d, x, 0.5, True, seeded(rng)).op_count > 16:
        fail("There are too many operations.", kind="cost")
    for shape in ((2000, 8), (8, 2000)):
        race(
            student.dropout2d,
            reference.dropout2d,
            lambda shape=shape: (nonzero(rng, *shape, 2, 2, dtype=torch.float32), 0.5, True),
            at_most=6,
            verify=channels_kept_or_dropped,
        )


def channels_kept_or_dropped(result, due, x, p, training):
    """Each channel is doubled or zero as a whole, about half of them."""
    zeros = dropped(result, x.shape)[:, :, :1, :1]
    close(result, 2 * x * (1 - zeros).float())
    right_rate(zeros, p, "channels")


# ----------------------------------------------------------------------------------------------------- 6. mlp


def layers_of(model):
    """The weights and biases, in order."""
    parameters = [parameter.detach() for parameter in model.parameters()]
    return list(zip(parameters[::2], parameters[1::2], strict=True))


@check("mlp", points=3, hint="The j-th probability belongs to the j-th hidden layer; the output is never dropped.")
def test_mlp_rates(student, rng):
    """DropoutMLP uses each probability in its own layer: with p = 1 there, and there only, nothing passes."""
    x = nonzero(rng, 6, 5)
    for p in ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 0.0)):
        model = student.DropoutMLP(5, (7, 6, 4), 3, p).double()
        layers = layers_of(model)

        def chain(rates, layers=layers):
            a = x
            for (W, b), rate in zip(layers, (*rates, None), strict=True):
                a = a @ W.T + b
                if rate is not None:
                    a = a.relu() * (1 - rate)
            return a

        due = chain(p)
        close(
            model(x),
            due,
            misconceptions={
                "the output was dropped as well; it is a prediction": 0 * due,
                "the first probability was used in all layers": chain(p[:1] * 3),
                "the last probability was used in all layers": chain(p[-1:] * 3),
                "the probabilities were used in reverse order": chain(p[::-1]),
                "the dropout came before the layer, not after its activation": (
                    lambda p=p, layers=layers: before_each(x, layers, p)
                ),
            },
        )


def before_each(x, layers, p):
    """Dropout in front of each hidden layer."""
    a = x
    for (W, b), rate in zip(layers[:-1], p, strict=True):
        a = ((a * (1 - rate)) @ W.T + b).relu()
    return a @ layers[-1][0].T + layers[-1][1]


@probe
def hidden_activations(student, x, p):
    """Training output of a network with an identity as its last layer, and the weight and bias of the first layer."""
    model = student.DropoutMLP(x.shape[1], [50], 50, [p]).double()
    first, bias, last, last_bias = model.parameters()
    with torch.no_grad():
        last.copy_(torch.eye(50))
        last_bias.zero_()
        bias.add_(1)
    return model(x).detach(), first.detach(), bias.detach()


@check("mlp", points=2, hint="Linear, then ReLU, then Dropout: nothing is dropped before the first layer.")
def test_mlp_noise(student, rng):
    """DropoutMLP drops single hidden units of single samples with probability p, and scales the others."""
    x = nonzero(rng, 300, 4)
    for p in (0.2, 0.7):
        output, W, b = hidden_activations(student, x, p)
        hidden = (x @ W.T + b).relu()
        zeros = dropped(output, (300, 50))
        close(output, hidden * (1 - zeros) / (1 - p), what="the hidden units after dropout")
        active = hidden > 0
        right_rate(zeros[active], p, "hidden units")
        noise = torch.where(active, zeros, (torch.rand(300, 50, generator=rng, dtype=F64) < p).double())
        independent(noise, p, "hidden units")


@probe
def modules_of(student, d_in, hidden, d_out, p):
    """The dropout layers' probabilities, in order; sizes of the linear layers; the number of all parameters."""
    model = student.DropoutMLP(d_in, hidden, d_out, p)
    rates = [module.p for module in model.modules() if isinstance(module, student.Dropout)]
    linear = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    sizes = [[module.in_features, module.out_features] for module in linear]
    return rates, sizes, len(list(model.parameters()))


@check("mlp", points=1, hint="One Dropout(p_j) and one nn.Linear a hidden layer, as submodules.")
def test_mlp_modules(student):
    """DropoutMLP holds a Dropout layer for each hidden layer, and linear layers of the right sizes."""
    rates, sizes, count = modules_of(student, 6, [5, 4, 3], 2, [0.1, 0.2, 0.3])
    close(rates, [0.1, 0.2, 0.3], what="the list of probabilities of the dropout layers")
    close(sizes, [[6, 5], [5, 4], [4, 3], [3, 2]], what="the list of linear layers")
    close(count, 8, what="the number of parameters")


@check(
    "mlp", points=1, hint="zip(hidden, p, strict=True) raises ValueError by itself; plain zip drops what is left over."
)
def test_mlp_bad_arguments(student):
    """DropoutMLP raises ValueError if p and hidden differ in length, or if a probability is none."""
    for hidden, p in (((4, 3), (0.5,)), ((4,), (0.5, 0.5)), ((), (0.5,)), ((4,), ())):
        with pytest.raises(ValueError):
            student.DropoutMLP(3, hidden, 2, p)
    refuses(lambda p: student.DropoutMLP(3, (4, 4), 2, (0.5, p)))


@check("mlp", points=1, hint="The loop over hidden may run no times at all, or many.")
def test_mlp_depths(student, rng):
    """DropoutMLP may have no hidden layer, or several, all of them with a ReLU."""
    for hidden in ([], [4], [6, 3, 5, 8]):
        model = student.DropoutMLP(3, hidden, 2, [0.5] * len(hidden)).double().eval()
        x = a = 3 * nonzero(rng, 7, 3)
        layers = layers_of(model)
        close(len(layers), len(hidden) + 1, what="the number of linear layers")
        for W, b in layers[:-1]:
            a = (a @ W.T + b).relu()
        close(model(x), a @ layers[-1][0].T + layers[-1][1])


@check("mlp", points=1, hint="All layers must be submodules, and the output part of one graph.")
def test_mlp_trains(student, rng):
    """Gradients reach every parameter of a DropoutMLP in training, and layers are not made equal at the start."""
    model = student.DropoutMLP(4, (30, 30), 2, (0.5, 0.5))
    (W1, b1), (W2, b2), (W3, b3) = layers_of(model)
    for weight, fan_in in ((W1, 4), (b1, 4), (W2, 30), (b2, 30), (W3, 30), (b3, 30)):
        if not 0 < weight.abs().max() <= fan_in**-0.5 or weight.flatten().unique().numel() < 2:
            fail("The layers must keep the usual initialisation of nn.Linear.")
    model(nonzero(rng, 50, 4).float()).square().sum().backward()
    for parameter in model.parameters():
        if parameter.grad is None or not parameter.grad.any():
            fail("No gradient reaches some of the parameters.", kind="gradient")


# ------------------------------------------------------------------------------------------------------ 7. mc


@probe
def flags_around(student, given, x, flags, fails_at):
    """One prediction of a NoisyNet with given flags, also within a failing call: what was seen, and flags after it."""
    layers = given.stand_in(student.Dropout, [0.5]), given.stand_in(student.StandardDropout, [0.5])
    model = given.NoisyNet(*layers, fails_at=fails_at).double()
    for name, module in model.named_modules():
        module.training = flags[name]
    error = None
    try:
        student.mc_dropout_predict(model, x, 3)
    except NotImplementedError:
        raise
    except Exception as raised:
        error = type(raised).__name__
    grad_mode = torch.is_grad_enabled()
    return model.calls, {name: module.training for name, module in model.named_modules()}, error, grad_mode


@probe
def asking(student, function, x, n_samples):
    """A prediction by a model that asks a function of the host's."""

    class Asking(torch.nn.Module):
        def forward(self, x):
            return function(x)

    return student.mc_dropout_predict(Asking(), x, n_samples)


NAMES = ("", "first", "norm", "inner", "inner.0", "inner.1", "inner.1.0", "last")
SOME_FLAGS = (
    dict.fromkeys(NAMES, True),
    dict.fromkeys(NAMES, False),
    {name: name in ("", "first", "inner.1") for name in NAMES},
    {name: name in ("norm", "inner.1.0", "last") for name in NAMES},
)


@check(
    "mc", points=2, hint="model.eval() first; then .train() for dropout layers only, wherever they are in the model."
)
def test_mc_only_dropout(student, given, rng):
    """During exactly n_samples calls, dropout layers and nothing else are in training mode."""
    x = nonzero(rng, 3, 4)
    for flags in SOME_FLAGS:
        calls, *_ = flags_around(student, given, x, flags, 0)
        close(len(calls), 3, what="the number of calls of the model")
        for active, _ in calls:
            close(
                sorted(active),
                ["first", "inner.1.0"],
                what="the list of modules in training mode",
                misconceptions={
                    "the whole model was put into training mode": sorted(NAMES),
                    "only layers of class Dropout were switched on; StandardDropout is a dropout layer too": ["first"],
                    "the model was evaluated without any dropout": [],
                },
            )
    layer = given.stand_in(student.Dropout, [2.0, 4.0])
    mean, std = student.mc_dropout_predict(layer.eval(), x, 2)
    close(mean, 3 * x, what="the mean for a model that is a dropout layer itself")
    close(std, x.abs(), what="the standard deviation for a model that is a dropout layer itself")
    # The list of calls above is kept in the student's process. These are counted here.
    counted = spy(lambda x: counted.calls * x)
    mean, _ = asking(student, counted, x, 3)
    if (counted.calls, counted.samples) != (3, 3 * len(x)):
        fail("The model was not called n_samples times.", kind="cost")
    close(mean, 2 * x, what="the mean for a model whose outputs are once, twice and three times its input")


@check("mc", points=2, hint="Note the flag of every module before, and put each back; model.train() is too coarse.")
def test_mc_flags(student, given, rng):
    """Afterwards the training flag of every single module is what it was before."""
    for flags in SOME_FLAGS:
        _, after, error, _ = flags_around(student, given, nonzero(rng, 3, 4), flags, 0)
        close(error, None, what="the error of a call that succeeds")
        close(after, flags, what="the list of training flags afterwards")


@check("mc", points=2, hint="try … finally puts the flags back in any case, and lets the exception through.")
def test_mc_errors(student, given, rng):
    """If the model raises, the exception is passed on and every flag is what it was before."""
    for flags, fails_at in zip(SOME_FLAGS, (1, 3, 3, 1), strict=True):
        _, after, error, grad_mode = flags_around(student, given, nonzero(rng, 3, 4), flags, fails_at)
        close(error, "ValueError", what="the error that comes out")
        close(after, flags, what="the list of training flags afterwards")
        close(grad_mode, True, what="the caller's grad mode")


@probe
def state_around(student, given, x):
    """Parameters, buffers and gradients of a NoisyNet in training mode, before and after a prediction."""
    layers = given.stand_in(student.Dropout, [0.5, 2.0]), given.stand_in(student.StandardDropout, [0.5, 0.1])
    model = given.NoisyNet(*layers).double()
    model(x).sum().backward()
    states = []
    for _ in range(2):
        state = dict(model.state_dict()) | {f"{name}.grad": value.grad for name, value in model.named_parameters()}
        states.append({name: value.clone() for name, value in state.items()})
        student.mc_dropout_predict(model, x, 4)
    return states


@check("mc", points=1, hint="Batch normalisation in training mode changes its running statistics with each call.")
def test_mc_batch_norm(student, given, rng):
    """Prediction leaves parameters, their gradients and the running statistics as they were."""
    before, after = state_around(student, given, nonzero(rng, 6, 4))
    close(after, before, what="the state of the model")


@check("mc", points=1, hint="torch.no_grad() round the calls; the results then carry no graph either.")
def test_mc_no_grad(student, given, rng):
    """Autograd is off during the calls, and the results require no grad, even if input and parameters do."""
    x = nonzero(rng, 3, 4).requires_grad_()
    calls, *_ = flags_around(student, given, x, SOME_FLAGS[0], 0)
    if any(grad for _, grad in calls):
        fail("Autograd was recording during a call of the model.", kind="gradient")
    model = given.NoisyNet(given.stand_in(student.Dropout, [0.5]), given.stand_in(student.StandardDropout, [0.5]))
    for result in student.mc_dropout_predict(model.double(), x, 3):
        if result.requires_grad:
            fail("The result requires grad.", kind="gradient")


@check("mc", points=1, hint="Stack the outputs along a new first dimension, and reduce that one.")
def test_mc_samples(student, given, rng):
    """mc_dropout_predict takes one sample (std is 0) or many, and outputs of any shape."""
    for shape in ((), (4,), (2, 3, 4)):
        for count in (1, 2, 7):
            factors = [0.5 + index for index in range(count)]
            x = nonzero(rng, *shape)
            mean, std = student.mc_dropout_predict(given.stand_in(student.StandardDropout, factors), x, count)
            drawn = torch.tensor(factors, dtype=F64)
            close(mean, drawn.mean() * x, what="the mean")
            close(std, drawn.std(correction=0) * x.abs(), atol=1e-7, rtol=1e-7, what="the standard deviation")


# ----------------------------------------------------------------------------------------------------- 8. bug


def _mask(shape, p, generator, dtype):
    """A right mask."""
    keep = (torch.rand(shape, generator=generator, dtype=F64) >= p).to(dtype)
    return keep / (1 - p) if p < 1 else keep


def by_where(x, p=0.5, training=True, generator=None):
    """Right: torch.where, and a copy in evaluation."""
    if not training:
        return x.clone()
    drop = torch.rand(x.shape, generator=generator) < p
    scaled = x / (1 - p) if p < 1 else 0 * x
    return torch.where(drop, torch.zeros_like(x), scaled)


def by_bernoulli(x, p=0.5, training=True, generator=None):
    """Right: bernoulli_, and a product in another order, which rounds otherwise."""
    if not training:
        return 1 * x
    keep = torch.empty(x.shape, dtype=x.dtype).bernoulli_(1 - p, generator=generator)
    return x * keep * (1 / (1 - p) if p < 1 else 0.0)


def by_indices(x, p=0.5, training=True, generator=None):
    """Right: indices of what is dropped, filled with zeros; draws more than it needs."""
    if not training:
        return x
    drop = torch.rand((2, *x.shape), generator=generator)[1] < p
    return (x * (1 / (1 - p) if p < 1 else 0.0)).masked_fill(drop, 0.0)


class _ByHand(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, mask):
        ctx.save_for_backward(mask)
        return x * mask

    @staticmethod
    def backward(ctx, upstream):
        return upstream * ctx.saved_tensors[0], None


def by_hand(x, p=0.5, training=True, generator=None):
    """Right: a backward of its own; the mask drawn from normal numbers."""
    if not training:
        return x.view_as(x)
    u = 0.5 * (1 + torch.erf(torch.randn(x.shape, generator=generator, dtype=F64) / 2**0.5))
    mask = torch.where(u < p, 0.0, 1 / (1 - p)) if p < 1 else torch.zeros_like(u)
    return _ByHand.apply(x, mask.to(x.dtype))


RIGHT = (by_where, by_bernoulli, by_indices, by_hand)


def faulty(change, *, in_evaluation=False):
    """A right implementation with one change: ``change(x, p, generator)`` in training, or in evaluation."""

    def implementation(x, p=0.5, training=True, generator=None):
        if bool(training) != in_evaluation:
            return change(x, p, generator)
        return by_where(x, p, training, generator)

    return implementation


def coins(shape):
    """A change that draws its coins in another shape (a function of that of x)."""
    return lambda x, p, g: x * _mask(shape(x), p, g, x.dtype)


def fixed_number(x, p, generator):
    """Exactly the share p of all entries is dropped."""
    order = torch.randperm(x.numel(), generator=generator)
    keep = torch.ones(x.numel(), dtype=x.dtype)
    keep[order[: round(p * x.numel())]] = 0
    return x * keep.reshape(x.shape) / (1 - p) if p < 1 else x * 0


def fixed_in_each_row(x, p, generator):
    """Exactly the share p of each row is dropped."""
    size = x.shape[-1] if x.ndim else 1
    rank = torch.rand((*x.shape[:-1], size), generator=generator).argsort(-1).argsort(-1)
    keep = (rank >= round(p * size)).to(x.dtype).reshape(x.shape)
    return x * keep / (1 - p) if p < 1 else x * 0


def straight_through(x, p, generator):
    """The gradient is passed on as it comes."""
    return x + (x * _mask(x.shape, p, generator, x.dtype) - x).detach()


def unscaled_gradient(x, p, generator):
    """The gradient is masked, but not scaled."""
    mask = _mask(x.shape, p, generator, x.dtype)
    return x * (mask > 0) + (x * mask - x * (mask > 0)).detach()


def seeded_anew(x, p, generator):
    """The generator is set back in every call."""
    if generator is not None:
        generator.manual_seed(0)
    return x * _mask(x.shape, p, generator, x.dtype)


def nan_at_one(x, p, generator):
    """p = 1 divides by zero."""
    keep = (torch.rand(x.shape, generator=generator) >= p).to(x.dtype)
    return x * keep / torch.tensor(1 - p, dtype=x.dtype)


def nan_gradient_at_one(x, p, generator):
    """For p = 1 the value is right and the gradient is 0 · ∞."""
    drop = torch.rand(x.shape, generator=generator) < p
    return torch.where(drop, torch.zeros_like(x), x / torch.tensor(1 - p, dtype=x.dtype))


WRONG_VALUES = (
    faulty(lambda x, p, g: x * (_mask(x.shape, p, g, x.dtype) > 0)),
    faulty(lambda x, p, g: x * (_mask(x.shape, p, g, x.dtype) > 0) * (1 - p)),
    faulty(lambda x, p, g: x * (_mask(x.shape, p, g, x.dtype) > 0) / max(p, 1e-9)),
    faulty(lambda x, p, g: x * _mask(x.shape, 1 - p, g, x.dtype)),
    faulty(lambda x, p, g: x * (_mask(x.shape, 1 - p, g, x.dtype) > 0) * (1 / (1 - p) if p < 1 else 0.0)),
    faulty(lambda x, p, _: x * (1 - p), in_evaluation=True),
    faulty(lambda x, p, g: x * _mask(x.shape, p, g, x.dtype), in_evaluation=True),
    faulty(nan_at_one),
    faulty(lambda x, p, g: (x * _mask(x.shape, p, g, x.dtype)).float()),
)
WRONG_DRAWS = (
    faulty(coins(lambda x: (*x.shape[:-1], 1) if x.ndim else ())),
    faulty(coins(lambda x: x.shape[1:])),
    faulty(fixed_number),
    faulty(fixed_in_each_row),
    faulty(lambda x, p, _: x * _mask(x.shape, p, None, x.dtype)),
    faulty(seeded_anew),
    faulty(lambda x, p, g: (x * _mask(x.shape, p, g, x.dtype)).detach()),
    faulty(straight_through),
    faulty(unscaled_gradient),
    faulty(nan_gradient_at_one),
)


def finds(student, implementation):
    """Whether the student's check says that an implementation is wrong; it must have called it."""
    handed = spy(implementation, max_calls=200)
    try:
        student.check_dropout(handed)
    except AssertionError:
        found = True
    else:
        found = False
    if not handed.calls:
        fail("check_dropout never called the function that it was handed.")
    return found


@check(
    "bug", points=1, hint="Compare with torch.allclose, and frequencies within six standard deviations, not within 5 %."
)
def test_bug_right(student):
    """check_dropout accepts right implementations in different styles."""
    for implementation in RIGHT:
        if finds(student, implementation):
            fail("A right implementation was called wrong.")


@check("bug", points=1, depends=("bug_right",), hint="Go through the list: scale, rate, evaluation, p = 1, dtype.")
def test_bug_values(student):
    """check_dropout finds wrong factors, wrong rates, noise in evaluation, nan and a lost dtype."""
    missed = sum(not finds(student, implementation) for implementation in WRONG_VALUES)
    if missed:
        fail(f"{missed} of {len(WRONG_VALUES)} wrong implementations of this kind were not found.")


@check(
    "bug", points=1, depends=("bug_right",), hint="Go through the list: rows and columns, counts, generator, gradient."
)
def test_bug_draws(student):
    """check_dropout finds shared coins, fixed counts, misused generators and wrong gradients."""
    missed = sum(not finds(student, implementation) for implementation in WRONG_DRAWS)
    if missed:
        fail(f"{missed} of {len(WRONG_DRAWS)} wrong implementations of this kind were not found.")
