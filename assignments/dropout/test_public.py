"""Public checks of dropout: the ones that students run themselves.

They count when a notebook is marked; the gate of each exercise is here. Worth 30 of the 100 points.
"""

import torch

from grader.checks import check, close, contract, fail, forbid, spy

# Policy for all exercises, told to students at the top of the notebook.
FORBIDDEN = [
    forbid(
        "*",
        names=("torch.*dropout*", "torch.nn.functional.*dropout*", "torch.nn.*Dropout*"),
        ops=("aten::native_dropout", "aten::_fused_dropout"),
        instead="torch.rand with a comparison, or bernoulli",
    )
]

BOTH_DTYPES = (torch.float64, torch.float32)


def seeded(rng):
    """A generator of its own, as the student's functions take it."""
    return torch.Generator().manual_seed(int(torch.randint(2**40, (), generator=rng)))


def nonzero(rng, *shape, dtype=torch.float64):
    """Numbers between 1 and 2 in size, of either sign: a zero in a result is then a dropped entry."""
    sign = torch.randint(0, 2, shape, generator=rng) * 2 - 1
    return ((1 + torch.rand(shape, generator=rng, dtype=torch.float64)) * sign).to(dtype)


def survivors(result, shape):
    """Where a result is not zero; everywhere if it is no tensor of this shape (``close`` says so better)."""
    fits = isinstance(result, torch.Tensor) and result.shape == shape
    kept = result.detach() != 0 if fits else torch.ones(shape, dtype=torch.bool)
    if not kept.any():
        fail("Everything was dropped.")
    if fits and kept.all() and not result.isnan().any():
        fail("Nothing was dropped.")
    return kept


def gradient_of(output, x):
    """The gradient of the sum of ``output``; a sentence for the student where autograd cannot give it."""
    if not isinstance(output, torch.Tensor) or not output.requires_grad:
        fail("The result is cut off from autograd: no gradient flows back to the input.", kind="gradient")
    return torch.autograd.grad(output.sum(), x)[0]


def judge(result, x, p, upstream):
    """Judge dropout's result and gradient by its own mask: zero, or 1 / (1 − p) times the input."""
    zero = torch.zeros((), dtype=x.dtype)
    kept, value = survivors(result, x.shape), x.detach()
    close(
        result,
        torch.where(kept, value / (1 - p), zero),
        misconceptions={
            "the survivors were not scaled; they are divided by 1 − p": torch.where(kept, value, zero),
            "the survivors were divided by p; they are divided by 1 − p": torch.where(kept, value / p, zero),
            "the survivors were multiplied by 1 − p; they are divided by it": torch.where(kept, value * (1 - p), zero),
            "the mask was returned; it is to be multiplied with x": torch.where(kept, 1 / (1 - p), zero),
        },
    )
    close(
        gradient_of(result * upstream, x),
        torch.where(kept, upstream / (1 - p), zero),
        what="the gradient",
        misconceptions={
            "the gradient ignores the mask; what was dropped learns nothing": upstream,
            "the gradient lacks the factor 1 / (1 − p)": torch.where(kept, upstream, zero),
        },
    )


# ---------------------------------------------------------------------------------------------------- 1. mask


@check(
    "mask",
    points=3,
    gate=True,
    hint="Compare uniform numbers with p, one for each entry, and give the survivors the value 1 / (1 − p).",
)
def test_mask_values(student, rng):
    """dropout_mask gives a mask of the shape and dtype that are asked for, with the entries 0 and 1 / (1 − p)."""
    for p in (0.3, 0.75):
        for options in ({}, {"dtype": torch.float64}):
            mask = contract(student.dropout_mask, (20, 30), p, generator=seeded(rng), **options)
            kept = survivors(mask, (20, 30)).to(options.get("dtype", torch.float32))
            close(
                mask,
                kept / (1 - p),
                what="the mask",
                misconceptions={
                    "the survivors were left at 1; they are 1 / (1 − p)": kept,
                    "the survivors were scaled by 1 / p; they are 1 / (1 − p)": kept / p,
                    "the survivors were scaled by 1 − p; they are 1 / (1 − p)": kept * (1 - p),
                },
            )


@check("mask", points=2, hint="With p = 1 there is no survivor to be scaled: 1 / (1 − p) must not be computed.")
def test_mask_ends(student, rng):
    """dropout_mask gives ones for p = 0 and zeros for p = 1."""
    for p in (0, 0.0):
        close(student.dropout_mask((4, 5), p, generator=seeded(rng)), torch.ones(4, 5))
    for p in (1, 1.0):
        close(student.dropout_mask((4, 5), p, generator=seeded(rng)), torch.zeros(4, 5))


# ------------------------------------------------------------------------------------------------- 2. dropout


@check("dropout", points=3, gate=True, hint="Multiply x with a mask of its shape and dtype; autograd does the rest.")
def test_dropout_values(student, rng):
    """dropout gives 0 or x / (1 − p) in training, and passes the gradient through the same mask."""
    for dtype in BOTH_DTYPES:
        for p in (0.3, 0.75):
            x = nonzero(rng, 20, 30, dtype=dtype).requires_grad_()
            result = contract(student.dropout, x, p, True, seeded(rng))
            judge(result, x, p, nonzero(rng, 20, 30, dtype=dtype))


@check("dropout", points=2, hint="training=False: give back x and draw nothing.")
def test_dropout_evaluation(student, rng):
    """dropout gives x in evaluation, with the gradient one, and draws no random number."""
    for dtype, p in ((torch.float64, 0.3), (torch.float32, 0.6), (torch.float64, 1.0)):
        x = nonzero(rng, 6, 5, dtype=dtype).requires_grad_()
        generator = seeded(rng)
        before = generator.get_state()
        result = student.dropout(x, p, False, generator)
        close(
            result,
            x,
            misconceptions={
                "evaluation multiplied by 1 − p; here nothing is left to be scaled": x.detach() * (1 - p),
                "evaluation divided by 1 − p": x.detach() / (1 - p),
            },
        )
        close(gradient_of(result, x), torch.ones_like(x), what="the gradient")
        if not torch.equal(generator.get_state(), before):
            fail("Random numbers were drawn in evaluation.", kind="randomness")
    contract(student.dropout, nonzero(rng, 6, 5), 0.5, training=False, may_alias=True)


@check("dropout", points=1, hint="Dividing the survivors by 1 − p makes up for what is missing.")
def test_dropout_mean(student, rng):
    """dropout leaves the mean as it is: over 40 000 entries it changes by no more than chance allows."""
    for p in (0.2, 0.5, 0.8):
        result = student.dropout(torch.ones(200, 200, dtype=torch.float64), p, True, seeded(rng))
        sigma = (p / (1 - p) / 40_000) ** 0.5
        close(result.mean().item(), 1.0, rtol=0, atol=6 * sigma, what="the mean")


# -------------------------------------------------------------------------------------------------- 3. module


@check("module", points=3, gate=True, hint="Keep p and the generator in __init__, and hand self.training to dropout.")
def test_module_values(student, rng):
    """Dropout drops and scales in training, gives x in evaluation, and gradients pass."""
    for dtype in BOTH_DTYPES:
        x = nonzero(rng, 20, 30, dtype=dtype).requires_grad_()
        layer = student.Dropout(0.3, seeded(rng)).eval()
        result = contract(layer, x, may_alias=True)
        judge(layer.train()(x), x, 0.3, nonzero(rng, 20, 30, dtype=dtype))
        close(result, x, misconceptions={"evaluation multiplied by 1 − p": x.detach() * 0.7}, what="evaluation")


@check("module", points=1, hint="Look at self.training in every call of forward; don't keep it elsewhere.")
def test_module_modes(student, rng):
    """Dropout follows train() and eval(), as often as they are called."""
    layer, x = student.Dropout(p=0.5), nonzero(rng, 10, 20)
    for _ in range(2):
        close(layer.eval()(x), x, what="evaluation")
        survivors(layer.train()(x), x.shape)
    close(layer.train(False)(x), x, what="evaluation")


# ------------------------------------------------------------------------------------------------ 4. standard


@check("standard", points=3, gate=True, hint="Training: x or 0. Evaluation: (1 − p) · x.")
def test_standard_values(student, rng):
    """StandardDropout drops without scaling in training, and multiplies by 1 − p in evaluation."""
    for dtype in BOTH_DTYPES:
        for p in (0.3, 0.75):
            x = nonzero(rng, 20, 30, dtype=dtype).requires_grad_()
            value, upstream = x.detach(), nonzero(rng, 20, 30, dtype=dtype)
            layer = student.StandardDropout(p, seeded(rng)).eval()
            evaluated = contract(layer, x, may_alias=True)
            result = layer.train()(x)
            kept = survivors(result, x.shape).to(dtype)
            close(
                result,
                value * kept,
                what="the result in training",
                misconceptions={
                    "the survivors were scaled in training; in this convention evaluation does it": (
                        value * kept / (1 - p)
                    ),
                    "the survivors were multiplied by 1 − p in training": value * kept * (1 - p),
                },
            )
            close(gradient_of(result * upstream, x), kept * upstream, what="the gradient in training")
            close(
                evaluated,
                value * (1 - p),
                what="the result in evaluation",
                misconceptions={
                    "evaluation left x as it is; in this convention it multiplies by 1 − p": value,
                    "evaluation multiplied by p; the share that survives is 1 − p": value * p,
                    "evaluation divided by 1 − p; it multiplies": value / (1 - p),
                },
            )
            close(gradient_of(evaluated * upstream, x), (1 - p) * upstream, what="the gradient in evaluation")


@check("standard", points=2, hint="(1 − p) times the weight, and the bias as it was: W((1 − p)x) + b.")
def test_fold_values(student, given, rng):
    """fold_standard_dropout scales the weight by 1 − p and leaves the bias as it was."""
    for p in (0.3, 0.75):
        weight, bias = nonzero(rng, 3, 4), nonzero(rng, 3)
        folded = student.fold_standard_dropout(given.linear(weight, bias), p)
        close(
            folded.weight,
            weight * (1 - p),
            what="the weight",
            misconceptions={
                "the weight was divided by 1 − p; it is multiplied": weight / (1 - p),
                "the weight was multiplied by p": weight * p,
                "the weight was left as it was": weight,
            },
        )
        close(
            folded.bias,
            bias,
            what="the bias",
            misconceptions={"the bias was scaled as well; it was never dropped": bias * (1 - p)},
        )


# ----------------------------------------------------------------------------------------------- 5. dropout2d


@check("dropout2d", points=3, gate=True, hint="A mask of shape (N, C, 1, 1) is broadcast over the pixels.")
def test_dropout2d_values(student, rng):
    """dropout2d drops whole channels, scales the others by 1 / (1 − p), and passes the gradient through its mask."""
    for dtype in BOTH_DTYPES:
        for p in (0.3, 0.6):
            x = nonzero(rng, 12, 9, 3, 2, dtype=dtype).requires_grad_()
            result = contract(student.dropout2d, x, p, True, seeded(rng))
            kept = survivors(result, x.shape).flatten(2)
            if (kept.any(2) != kept.all(2)).any():
                fail(
                    "Some channels were dropped in part.",
                    misconception="the coin was flipped for each pixel; a channel is dropped as a whole",
                )
            judge(result, x, p, nonzero(rng, 12, 9, 3, 2, dtype=dtype))


# ----------------------------------------------------------------------------------------------------- 6. mlp


def weights_of(model, widths):
    """The weights and biases of a network, in order; ends the check if their shapes are not those of the layers."""
    parameters = [parameter.detach() for parameter in model.parameters()]
    due = [shape for d, h in zip(widths, widths[1:], strict=False) for shape in ((h, d), (h,))]
    if [tuple(parameter.shape) for parameter in parameters] != due:
        fail("The parameters must be weight and bias of each linear layer, in the order of the data.", kind="shape")
    return list(zip(parameters[::2], parameters[1::2], strict=True))


@check("mlp", points=2, gate=True, hint="Linear, ReLU, Dropout for each hidden width, and a linear layer at the end.")
def test_mlp_values(student, rng):
    """DropoutMLP is, in evaluation, linear layers with a ReLU between them, and gradients reach its input."""
    for dtype in BOTH_DTYPES:
        model = student.DropoutMLP(5, (9, 4), 3, (0.5, 0.2)).to(dtype).eval()
        x = nonzero(rng, 8, 5, dtype=dtype).requires_grad_()
        (W1, b1), (W2, b2), (W3, b3) = weights_of(model, (5, 9, 4, 3))
        a1 = (x @ W1.T + b1).relu()
        a2 = (a1 @ W2.T + b2).relu()
        due = a2 @ W3.T + b3
        upstream = nonzero(rng, 8, 3, dtype=dtype)
        result = contract(model, x)
        close(
            result,
            due,
            misconceptions={
                "the ReLU was applied to the output as well": due.relu(),
                "an activation is missing": ((x @ W1.T + b1) @ W2.T + b2) @ W3.T + b3,
            },
        )
        close(gradient_of(result * upstream, x), gradient_of(due * upstream, x), what="the gradient")


@check("mlp", points=1, hint="The dropout layers must be submodules, so that train() and eval() reach them.")
def test_mlp_modes(student, rng):
    """DropoutMLP is noisy in training, and gives the same again in evaluation and for p = 0."""
    x = nonzero(rng, 20, 6).float()
    model = student.DropoutMLP(6, [40], 2, [0.5])
    if torch.equal(model(x), model(x)):
        fail("Two calls in training gave the same.", kind="randomness")
    close(model.eval()(x), model(x), what="a second call in evaluation")
    if torch.equal(model.train()(x), model(x)):
        fail("Two calls in training gave the same after a call of eval().", kind="randomness")
    quiet = student.DropoutMLP(6, [40], 2, [0.0])
    close(quiet(x), quiet.eval()(x), what="the result for p = 0")


# ------------------------------------------------------------------------------------------------------ 7. mc


def noisy_outputs(state, x, first, second, *, batch=False):
    """What ``given.NoisyNet`` gives with these factors of its two noisy layers, one output a sample."""
    outputs = []
    for one, other in zip(first, second, strict=True):
        mean, variance = state["norm.running_mean"], state["norm.running_var"]
        if batch:
            mean, variance = (x * one).mean(0), (x * one).var(0, correction=0)
        normed = (x * one - mean) / (variance + 1e-5).sqrt()
        hidden = (normed * state["norm.weight"] + state["norm.bias"]).tanh() * other
        outputs.append(hidden @ state["last.weight"].T + state["last.bias"])
    return torch.stack(outputs)


def random_state(rng):
    """Parameters and buffers of a ``given.NoisyNet``, none of them what a new one has."""
    drawn = {name: torch.rand(4, generator=rng, dtype=torch.float64) for name in ("weight", "bias")}
    state = {f"norm.{name}": 0.5 + value for name, value in drawn.items()}
    state["norm.running_mean"] = nonzero(rng, 4)
    state["norm.running_var"] = nonzero(rng, 4).abs()
    state["norm.num_batches_tracked"] = torch.tensor(3)
    return state | {"last.weight": nonzero(rng, 2, 4), "last.bias": nonzero(rng, 2)}


@check(
    "mc",
    points=3,
    gate=True,
    hint="Everything to eval(), then dropout layers to train(); then mean and std over the calls.",
)
def test_mc_values(student, given, rng):
    """mc_dropout_predict gives mean and standard deviation over n_samples calls with only the dropout layers active."""
    first, second = [1.5, 0.25, 0.75, 1.25], [0.5, 2.0, 1.75, 0.25]
    off = [1.0] * 4
    for dtype in BOTH_DTYPES:
        state = random_state(rng)
        layers = given.stand_in(student.Dropout, first), given.stand_in(student.StandardDropout, second)
        model = given.NoisyNet(*layers).to(dtype).train(dtype == torch.float64)
        model.load_state_dict(state)
        x = nonzero(rng, 5, 4, dtype=dtype)
        state = {name: value.to(dtype) for name, value in state.items()}
        samples = noisy_outputs(state, x, first, second)
        result = contract(student.mc_dropout_predict, model, x, 4)
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            fail("Two tensors are due: (mean, std).", kind="shape")
        bounds = {"rtol": 1e-9, "atol": 1e-9} if dtype == torch.float64 else {"rtol": 1e-5, "atol": 1e-5}
        only_first, only_second = noisy_outputs(state, x, first, off), noisy_outputs(state, x, off, second)
        close(
            result[0],
            samples.mean(0),
            **bounds,
            what="the mean",
            misconceptions={
                "the dropout layers were off": noisy_outputs(state, x, off, off).mean(0),
                "the layers of class StandardDropout were off": only_first.mean(0),
                "the layers of class Dropout were off": only_second.mean(0),
                "the samples were summed; their mean is due": samples.sum(0),
                "only one sample was taken": samples[0],
                "batch normalisation was in training mode as well": (
                    lambda state=state, x=x: noisy_outputs(state, x, first, second, batch=True).mean(0)
                ),
            },
        )
        close(
            result[1],
            samples.std(0, correction=0),
            **bounds,
            what="the standard deviation",
            misconceptions={
                "the squares were divided by n_samples − 1; here it is n_samples": samples.std(0),
                "the variance was returned; the root is still to be taken": samples.var(0, correction=0),
            },
        )


# ----------------------------------------------------------------------------------------------------- 8. bug


def plain_dropout(x, p=0.5, training=True, generator=None):
    """A right implementation."""
    if not training:
        return x
    keep = (torch.rand(x.shape, generator=generator) >= p).to(x.dtype)
    return x * keep / (1 - p) if p < 1 else x * 0


def rows_dropout(x, p=0.5, training=True, generator=None):
    """The one in the notebook: one coin a row."""
    if not training:
        return x
    drop = torch.rand(len(x), generator=generator) < p
    mask = torch.where(drop, 0.0, 1 / (1 - p)) if p < 1 else torch.zeros(len(x))
    return x * mask.to(x.dtype).reshape(-1, *[1] * (x.ndim - 1))


def finds(student, implementation):
    """Whether the student's check says that an implementation is wrong; it must have called it."""
    handed = spy(implementation, max_calls=200)
    try:
        answer = student.check_dropout(handed)
    except AssertionError:
        found = True
    else:
        found = False
        close(answer, None, what="the result of check_dropout")
    if not handed.calls:
        fail("check_dropout never called the function that it was handed.")
    return found


@check(
    "bug", points=1, gate=True, hint="Look at a mask: are there rows in which some entries, but not all, are dropped?"
)
def test_bug_shown(student):
    """check_dropout accepts a right implementation and finds the bug that the notebook shows."""
    handed = spy(plain_dropout, max_calls=600)
    close(contract(student.check_dropout, handed), None, what="the result of check_dropout")
    if not handed.calls:
        fail("check_dropout never called the function that it was handed.")
    if not finds(student, rows_dropout):
        fail("The bug that the notebook shows was not found.")
