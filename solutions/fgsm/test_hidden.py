"""Hidden checks of adversarial attacks: 71 of the 100 points, and 3 of the bonus.

The gates are in test_public.py. What an attack returns is compared exactly, in float64, with what follows from models
for which it is known: linear ones, parabolas, and copies of networks on this side of the wall. The digits' networks
are trained once, when this file is read; bounds on accuracies are the minimum over eight seeds less two to four points.
"""

import copy
import importlib.util
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from grader.checks import Each, check, close, contract, fail, holds, probe, race, spy, watch

F64 = torch.float64


def load_given():
    """The given code on this side of the wall."""
    path = Path(__file__).resolve().parents[2] / "assignments" / "fgsm" / "given.py"
    spec = importlib.util.spec_from_file_location("given_for_fgsm", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HERE = load_given()


def seeded(seed):
    """A generator."""
    return torch.Generator().manual_seed(seed)


def randn(rng, *shape):
    """Standard normal float64 numbers."""
    return torch.randn(*shape, generator=rng, dtype=F64)


def rand(rng, *shape):
    """Float64 numbers between 0 and 1."""
    return torch.rand(shape, generator=rng, dtype=F64)


def middle(rng, *shape):
    """Pixels between 0.3 and 0.7: an attack with a budget of up to 0.3 is never clipped."""
    return 0.3 + 0.4 * rand(rng, *shape)


def slope_of(model, x, y, loss_fn=F.cross_entropy):
    """The gradient of the input on the host."""
    leaf = x.detach().clone().requires_grad_()
    return torch.autograd.grad(loss_fn(model(leaf), y), leaf)[0]


def attacked(model, x, y, eps, *, targeted=False, clip=(0.0, 1.0)):
    """FGSM on the host."""
    step = eps * slope_of(model, x, y).sign()
    moved = x - step if targeted else x + step
    return moved if clip is None else moved.clamp(*clip)


def network(given, seed, **options):
    """A small network with settled batch normalisation here, in eval mode, and its twin beside the student's code."""
    torch.manual_seed(seed)
    options = {"size": 4, "width": 4, "classes": 3, "dtype": F64} | options
    here = HERE.SmallCNN(**options)
    here.train()
    with torch.no_grad():
        here(torch.rand(16, options.get("channels", 1), 4, 4, dtype=F64))
    here.eval()
    there = given.SmallCNN(**options)
    there.load_state_dict(dict(here.state_dict()))
    return here, there


@probe
def marks(student, model):
    """Everything about a model that a function could leave behind: modes, parameters, buffers, gradients."""
    return {
        "modes": [module.training for module in model.modules()],
        "recorded": [parameter.requires_grad for parameter in model.parameters()],
        "values": [value.detach().clone() for value in model.state_dict().values()],
        "gradients": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
    }


@probe
def prepare(student, model, modes, frozen, stale):
    """Put a model into a mixture of modes, freeze some parameters, and leave old gradients in the others."""
    for number, module in enumerate(model.modules()):
        module.training = modes[number % len(modes)]
    for number, parameter in enumerate(model.parameters()):
        parameter.requires_grad_(not frozen[number % len(frozen)])
        parameter.grad = None if stale is None else torch.full_like(parameter, stale)


@probe
def without_grad(student, name, args, options):
    """Call a function of the student's inside no_grad; say whether it was left switched off as well."""
    with torch.no_grad():
        result = getattr(student, name)(*args, **options)
        return result, torch.is_grad_enabled()


def unmarked(before, after, *, but=()):
    """End the check if a function left a mark on a model."""
    if "modes" not in but and after["modes"] != before["modes"]:
        fail("The model, or one of its submodules, is not in the mode that it had before.", kind="side-effect")
    if after["recorded"] != before["recorded"]:
        fail("The requires_grad of a parameter is not what it was.", kind="side-effect")
    if not all(torch.equal(one, other) for one, other in zip(before["values"], after["values"], strict=True)):
        fail("The parameters or buffers of the model changed.", kind="mutation")
    for old, new in zip(before["gradients"], after["gradients"], strict=True):
        if (old is None) != (new is None) or (old is not None and not torch.equal(old, new)):
            fail("Something was added to the .grad of a parameter of the model.", kind="mutation")


MIXED = ([False, True, True], [True, False], [False])
"""Modes for the modules of a model, over and over again; the first one is for the whole model."""


# ---------------------------------------------------------------------------------------------------- 1. gradient


@check("gradient", points=1, hint="The gradient of the mean loss, sample by sample, as autograd gives it.")
def test_gradient_network(student, given, rng):
    """input_gradient is right for a convolutional network, for one sample and for several."""
    here, there = network(given, 3, channels=2)
    for n in (1, 5):
        x, y = rand(rng, n, 2, 4, 4), torch.randint(0, 3, (n,), generator=rng)
        close(student.input_gradient(there, x, y), slope_of(here, x, y))


@check("gradient", points=1, hint="Call loss_fn(model(x), y): with this order, and with whatever y is.")
def test_gradient_loss(student, given, rng):
    """input_gradient differentiates the loss that it is given, also one that is no cross-entropy."""
    here, there = network(given, 4)
    x, y = rand(rng, 4, 1, 4, 4), randn(rng, 4, 3)

    def loss(logits, wanted):
        """Something that is neither symmetric in its arguments nor a mean."""
        return (logits.sin() * wanted).sum()

    close(student.input_gradient(there, x, y, loss), slope_of(here, x, y, loss))
    close(student.input_gradient(there, x, y, loss_fn=loss), slope_of(here, x, y, loss))


@check("gradient", points=1, hint="with torch.enable_grad() inside, and a detached copy of x that requires grad.")
def test_gradient_no_grad(student, given, rng):
    """input_gradient works inside no_grad, for frozen parameters, and for an x that requires grad itself."""
    here, there = network(given, 5)
    x, y = rand(rng, 4, 1, 4, 4), torch.tensor([0, 2, 1, 1])
    expected = slope_of(here, x, y)
    result, left = without_grad(student, "input_gradient", [there, x, y], {})
    close(result, expected)
    if left:
        fail("Gradients were switched on and stayed on.", kind="side-effect")
    prepare(student, there, [False], [True], None)
    close(student.input_gradient(there, x, y), expected)
    leaf = torch.nn.Parameter(x.clone())
    leaf.grad = torch.full_like(x, 7.0)
    result = contract(student.input_gradient, there, leaf, y)
    close(result, expected)
    if result.requires_grad:
        fail("The result still hangs on a graph: its requires_grad must be False.", kind="gradient")
    close(student.input_gradient(there, 1.0 * leaf, y), expected)


@check("gradient", points=2, hint="torch.autograd.grad(loss, copy) touches no parameter; loss.backward() does.")
def test_gradient_parameters(student, given, rng):
    """input_gradient neither uses nor changes the parameters' .grad and requires_grad, nor any buffer."""
    x, y = rand(rng, 4, 1, 4, 4), torch.tensor([0, 2, 1, 1])
    for frozen, stale in (([False], None), ([True, False], 100.0)):
        here, there = network(given, 6, batch_norm=True)
        prepare(student, there, [True], frozen, stale)
        before = marks(student, there)
        close(student.input_gradient(there, x, y), slope_of(here, x, y))
        unmarked(before, marks(student, there))


@check("gradient", points=1, hint="model.eval() before the forward pass: dropout must be off, batch norm must not mix.")
def test_gradient_eval(student, given, rng):
    """input_gradient sees the model in eval mode, whatever modes the model and its submodules were in."""
    here, there = network(given, 7, batch_norm=True, dropout=0.5)
    x, y = rand(rng, 4, 1, 4, 4), torch.tensor([0, 2, 1, 1])
    for modes in ([True], *MIXED):
        prepare(student, there, modes, [False], None)
        close(student.input_gradient(there, x, y), slope_of(here, x, y))


@check("gradient", points=1, hint="Note the mode of every module of model.modules() first, and put each back.")
def test_gradient_modes(student, given, rng):
    """input_gradient leaves each submodule in the mode that it had, in any mixture of modes."""
    x, y = rand(rng, 2, 1, 4, 4), torch.tensor([0, 2])
    for modes in MIXED:
        there = given.SmallCNN(size=4, width=2, classes=3, batch_norm=True, dropout=0.5, dtype=F64)
        prepare(student, there, modes, [False], None)
        before = marks(student, there)
        student.input_gradient(there, x, y)
        unmarked(before, marks(student, there))


@probe
def fallen(student, name, modes, args):
    """Call a function with a model that fails; return the modes of its modules before and after, and what happened."""

    class Unwell(torch.nn.Module):
        def forward(self, x):
            raise ZeroDivisionError

    model = torch.nn.Sequential(given.SmallCNN(size=4, width=2, classes=3), torch.nn.Dropout(0.5), Unwell())
    for number, module in enumerate(model.modules()):
        module.training = modes[number % len(modes)]
    before = [module.training for module in model.modules()]
    try:
        getattr(student, name)(model, *args)
    except ZeroDivisionError:
        outcome = "passed on"
    except Exception:
        outcome = "another error"
    else:
        outcome = "no error"
    return before, [module.training for module in model.modules()], outcome, torch.is_grad_enabled()


def survives(student, name, *args):
    """End the check unless a function lets a model's exception through and puts the modes back."""
    for modes in MIXED[:2]:
        before, after, outcome, grad_mode = fallen(student, name, modes, list(args))
        if outcome != "passed on":
            fail("An exception of the model's did not come through.", kind="error")
        if before != after:
            fail("After an exception, the modes of the model's modules are not what they were.", kind="side-effect")
        if not grad_mode:
            fail("After an exception, gradients stay switched off.", kind="side-effect")


@check("gradient", points=1, hint="try: … finally: put the modes back.")
def test_gradient_error(student):
    """input_gradient restores all modes when the model raises an exception, and passes it on."""
    survives(student, "input_gradient", torch.rand(2, 1, 4, 4), torch.tensor([0, 2]))


@check("gradient", points=1, hint="One forward pass with the whole batch, and one backward pass.")
def test_gradient_cost(student, reference, given, rng):
    """input_gradient calls the model once, with all samples, and costs at most 3.3 forward passes."""
    torch.manual_seed(1)
    model = HERE.SmallCNN(size=4, width=2, classes=3, dtype=F64).eval()
    counted = spy(model)
    x, y = rand(rng, 6, 1, 4, 4), torch.tensor([0, 2, 1, 1, 0, 2])
    close(student.input_gradient(given.Oracle(counted), x, y), slope_of(model, x, y))
    if (counted.calls, counted.samples) != (1, 6):
        fail("One call of the model with all samples is enough.", kind="cost")
    cheap(student.input_gradient, given, rng)
    race(student.input_gradient, reference.input_gradient, same_model(given, reference, rng), at_most=20)


def same_model(given, reference, rng, *args, n=1024, size=4, width=2):
    """Draws about n small images and labels for a model that both sides have."""
    state = HERE.SmallCNN(size=size, width=width).state_dict()
    model = Each(given.SmallCNN(size=size, width=width), reference.SmallCNN(size=size, width=width))
    for side in (model.own, model.reference):
        side.load_state_dict(state)

    def draw():
        samples = int(torch.randint(n - n // 16, n, (), generator=rng))
        x = 0.2 + 0.6 * torch.rand(samples, 1, size, size, generator=rng)
        return model, x, torch.randint(0, 10, (samples,), generator=rng), *args

    return draw


def cheap(function, given, rng, *args):
    """End the check if an attack of one step costs more than 3.3 forward passes, or if operations grow with n."""
    model = given.SmallCNN()
    x, y = torch.rand(32, 1, 8, 8, generator=rng), torch.zeros(32, dtype=torch.int64)
    forward = watch(model, x, flops=True).flops
    seen = watch(function, model, x, y, *args, flops=True)
    if seen.flops > 3.3 * forward:
        fail("More floating-point operations than one forward and one backward pass need.", kind="cost")
    few = watch(function, model, x[:4], y[:4], *args)
    if seen.op_count > few.op_count + 4:
        fail("The number of operations grows with the number of samples.", kind="cost")


# -------------------------------------------------------------------------------------------------------- 2. fgsm


@check("fgsm", points=2, hint="For a linear model with two classes, eps · sign(gradient) is exactly the best there is.")
def test_fgsm_optimum(student, given, rng):
    """fgsm is the exact optimum for two linear classes: the margin moves by eps times the 1-norm of the weights."""
    weight, x, y = randn(rng, 2, 6), middle(rng, 8, 6), torch.tensor([0, 1, 1, 0, 1, 0, 0, 1])
    model = given.linear_model(weight)
    reach = 0.25 * (weight[0] - weight[1]).abs().sum()
    logits = x @ weight.T
    margin = (logits[:, 0] - logits[:, 1]) * (1 - 2 * y)
    for targeted, expected in ((False, margin - reach), (True, margin + reach)):
        moved = student.fgsm(model, x, y, 0.25, targeted=targeted) @ weight.T
        close((moved[:, 0] - moved[:, 1]) * (1 - 2 * y), expected, what="the margin after the attack")


@check("fgsm", points=1, hint="torch.sign(0) is 0: leave it so. A comparison such as g >= 0 makes it 1.")
def test_fgsm_zero(student, given, rng):
    """fgsm does not move a pixel that the model does not look at."""
    weight = randn(rng, 3, 4)
    weight[:, 1] = 0.0
    x, y = middle(rng, 5, 4), torch.tensor([2, 0, 1, 1, 0])
    model = given.linear_model(weight)
    for targeted in (False, True):
        moved = student.fgsm(model, x, y, 0.1, targeted=targeted)
        close((moved - x).abs(), torch.tensor([0.1, 0.0, 0.1, 0.1], dtype=F64).expand(5, 4), what="the distance moved")


@check(
    "fgsm", points=2, hint="The size of the gradient does not matter: no threshold, no division by its norm plus 1e-8."
)
def test_fgsm_saturated(student, given, rng):
    """fgsm moves every pixel by the full eps even if the model is so sure that gradients are tiny."""
    # The weights of the two classes differ clearly in every pixel, so that rounding cannot turn a sign.
    first = randn(rng, 4)
    signs = torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=F64)
    weight, y = torch.stack([first, first + signs * (0.5 + rand(rng, 4))]), torch.tensor([1, 0, 0])
    x = middle(rng, 3, 4)
    sign = (1 - 2 * y).unsqueeze(1) * signs
    for margin in (10.0, 20.0, 28.0):
        for row in range(3):
            bias = torch.zeros(2, dtype=F64)
            bias[y[row]] = margin - (2 * y[row] - 1) * (weight[1] - weight[0]) @ x[row]
            moved = student.fgsm(given.linear_model(weight, bias), x[row : row + 1], y[row : row + 1], 0.2)
            close(moved, (x + 0.2 * sign)[row : row + 1])


@check("fgsm", points=2, hint="clamp(*clip) if clip is not None: whatever the range is.")
def test_fgsm_clip(student, given, rng):
    """fgsm clips to the range that it is given, and not at all for None."""
    weight, y = randn(rng, 3, 4), torch.tensor([2, 0, 1, 1, 0])
    here, there = HERE.linear_model(weight), given.linear_model(weight)
    for clip in ((-1.0, 1.0), (0.2, 0.6), (0.0, 255.0), (-3.0, -2.0), None):
        low, high = clip or (-5.0, 5.0)
        x = low + (high - low) * rand(rng, 5, 4)
        eps = 0.4 * (high - low)
        for targeted in (False, True):
            expected = attacked(here, x, y, eps, targeted=targeted, clip=clip)
            close(
                student.fgsm(there, x, y, eps, targeted=targeted, clip=clip),
                expected,
                misconceptions={
                    "the range 0 … 1 was used, whatever clip says": expected.clamp(0, 1),
                    "the result was not clipped to the range of pixels": lambda x=x, eps=eps, targeted=targeted: (
                        attacked(here, x, y, eps, targeted=targeted, clip=None)
                    ),
                },
            )


@check("fgsm", points=2, hint="eps · sign broadcasts by itself, for a float and for a tensor.")
def test_fgsm_eps(student, given, rng):
    """fgsm takes a budget for each channel, sample or pixel, and eps = 0 gives a copy."""
    here, there = network(given, 8, channels=2)
    x, y = middle(rng, 3, 2, 4, 4), torch.tensor([0, 2, 1])
    for shape in ((2, 1, 1), (3, 1, 1, 1), (3, 2, 4, 4), ()):
        eps = 0.3 * rand(rng, *shape)
        close(contract(student.fgsm, there, x, y, eps), attacked(here, x, y, eps))
    for eps in (0.0, torch.zeros(2, 1, 1, dtype=F64)):
        close(contract(student.fgsm, there, x, y, eps), x)


@check("fgsm", points=1, hint="if (torch.as_tensor(eps) < 0).any(): raise ValueError(…)")
def test_fgsm_errors(student, given, rng):
    """fgsm raises ValueError for an eps that is negative, or has a negative entry."""
    model, x, y = given.linear_model(randn(rng, 3, 4)), middle(rng, 2, 4), torch.tensor([2, 0])
    for eps in (-0.1, torch.tensor([0.1, -0.1, 0.1, 0.2], dtype=F64), torch.full((2, 1), -0.2, dtype=F64)):
        for targeted in (False, True):
            with pytest.raises(ValueError):
                student.fgsm(model, x, y, eps, targeted=targeted)


@check("fgsm", points=1, hint="Pass loss_fn on to the gradient.")
def test_fgsm_loss(student, given, rng):
    """fgsm attacks the loss that it is given."""
    here, there = network(given, 9)
    x, y = middle(rng, 4, 1, 4, 4), randn(rng, 4, 3)

    def loss(logits, wanted):
        """A reward turned into a loss."""
        return (logits * wanted).sum()

    sign = slope_of(here, x, y, loss).sign()
    close(
        student.fgsm(there, x, y, 0.1, loss_fn=loss),
        x + 0.1 * sign,
        misconceptions={"the step goes down in the loss; an untargeted attack goes up": x - 0.1 * sign},
    )


@check(
    "fgsm", points=1, hint="In eval mode nothing mixes the samples; nor should your own code, by a norm or a maximum."
)
def test_fgsm_batch(student, given, rng):
    """What fgsm does to one sample does not depend on the others in its batch, whatever layers the model has."""
    here, there = network(given, 10, batch_norm=True, dropout=0.5)
    prepare(student, there, [True], [False], None)
    x, y = rand(rng, 5, 1, 4, 4), torch.tensor([0, 2, 1, 1, 0])
    alone = torch.cat([student.fgsm(there, x[i : i + 1], y[i : i + 1], 0.2) for i in range(5)])
    close(alone, attacked(here, x, y, 0.2), what="what becomes of single samples")
    close(student.fgsm(there, x, y, 0.2), alone, what="what becomes of a batch")


@check("fgsm", points=2, hint="input_gradient, written with care, does all of this for you.")
def test_fgsm_traces(student, given, rng):
    """fgsm leaves no trace in the model, works inside no_grad, and returns images without a graph."""
    here, there = network(given, 11, batch_norm=True, dropout=0.5)
    x, y = rand(rng, 4, 1, 4, 4), torch.tensor([0, 2, 1, 1])
    expected = attacked(here, x, y, 0.2)
    for modes, frozen, stale in ((MIXED[0], [True, False], 100.0), (MIXED[1], [False], None)):
        prepare(student, there, modes, frozen, stale)
        before = marks(student, there)
        leaf = torch.nn.Parameter(x.clone())
        leaf.grad = torch.full_like(x, 7.0)
        result = contract(student.fgsm, there, leaf, y, 0.2)
        close(result, expected)
        if result.requires_grad:
            fail("The result still hangs on a graph: its requires_grad must be False.", kind="gradient")
        unmarked(before, marks(student, there))
    result, left = without_grad(student, "fgsm", [there, x, y, 0.2], {})
    close(result, expected)
    if left:
        fail("Gradients were switched on and stayed on.", kind="side-effect")


@check("fgsm", points=1, hint="One forward pass with the whole batch, and one backward pass.")
def test_fgsm_cost(student, reference, given, rng):
    """fgsm calls the model once, with all samples, and costs at most 3.3 forward passes."""
    torch.manual_seed(1)
    model = HERE.SmallCNN(size=4, width=2, classes=3, dtype=F64).eval()
    counted = spy(model)
    x, y = rand(rng, 6, 1, 4, 4), torch.tensor([0, 2, 1, 1, 0, 2])
    close(student.fgsm(given.Oracle(counted), x, y, 0.1), attacked(model, x, y, 0.1))
    if (counted.calls, counted.samples) != (1, 6):
        fail("One call of the model with all samples is enough.", kind="cost")
    cheap(student.fgsm, given, rng, 0.1)
    race(student.fgsm, reference.fgsm, same_model(given, reference, rng, 0.1), at_most=20, verify=nearly_all)


def nearly_all(result, due, *_args):
    """As ours, but for the sign of slopes that are zero up to rounding."""
    close(result.shape, due.shape)
    close(bool(((result - due).abs() <= 1e-5).double().mean() > 0.99), True)


# --------------------------------------------------------------------------------------------------------- 3. pgd


def parabola(logits, wanted):
    """A loss that is largest where the model says what is wanted."""
    return -(logits - wanted).square().sum()


def walk(model, x, y, eps, alpha, steps, *, targeted=False, clip=(0.0, 1.0)):
    """PGD on the host."""
    low, high = x - eps, x + eps
    if clip is not None:
        low, high = low.clamp(min=clip[0]), high.clamp(max=clip[1])
    point = x
    for _ in range(steps):
        step = alpha * slope_of(model, point, y).sign()
        point = torch.minimum(torch.maximum(point - step if targeted else point + step, low), high)
    return point


@check("pgd", points=2, hint="Clamp the difference from the original x to ± eps, after each step.")
def test_pgd_ball(student, given, rng):
    """pgd with 50 small steps reaches exactly eps, for one budget and for a budget of each channel or sample."""
    weight, y = randn(rng, 2, 8), torch.tensor([1, 0, 1])
    x = middle(rng, 3, 2, 2, 2)
    sign = slope_of(HERE.linear_model(weight), x, y).sign()
    model = given.linear_model(weight)
    for eps in (0.1, torch.tensor([0.05, 0.2], dtype=F64).view(2, 1, 1), 0.3 * rand(rng, 3, 1, 1, 1)):
        close(
            student.pgd(model, x, y, eps, 0.013, 50),
            x + eps * sign,
            misconceptions={"the steps were not projected back to within eps of the original": x + 0.65 * sign},
        )


@check("pgd", points=2, hint="The gradient belongs inside the loop, at the point where you are now.")
def test_pgd_recomputed(student, given, rng):
    """pgd looks at the gradient anew in each step: it stops at the top of a parabola instead of running past it."""
    x = middle(rng, 3, 5)
    wanted = x + torch.empty_like(x).uniform_(-0.15, 0.15, generator=rng)
    result = student.pgd(given.nn.Identity(), x, wanted, 0.2, 0.02, 20, loss_fn=parabola)
    if (result - wanted).abs().max() > 0.02 + 1e-9:
        fail("The attack runs past the maximum of the loss: is the gradient taken anew in each step?")
    here, there = network(given, 12)
    x, y = rand(rng, 4, 1, 4, 4), torch.tensor([0, 2, 1, 1])
    close(student.pgd(there, x, y, 0.3, 0.07, 6), walk(here, x, y, 0.3, 0.07, 6))


@check("pgd", points=1, hint="range(0) is empty: return the start, as a new tensor.")
def test_pgd_steps_zero(student, given, rng):
    """pgd with no steps returns a copy of x, or the random start, which lies within eps of x and within clip."""
    model, x, y = given.linear_model(randn(rng, 3, 40)), rand(rng, 4, 40), torch.tensor([0, 2, 1, 1])
    close(contract(student.pgd, model, x, y, 0.3, 0.1, 0), x)
    close(contract(student.pgd, model, x, y, 0.0, 0.1, 2), x, what="the result for a budget of 0")
    start = contract(student.pgd, model, x, y, 0.3, 0.1, 0, random_start=True, generator=seeded(3))
    if start.shape != x.shape or start.dtype != x.dtype or start.requires_grad:
        fail("The random start must have the shape and dtype of x, and no graph.", kind="shape")
    if ((start - x).abs() > 0.3 + 1e-9).any() or (start < 0).any() or (start > 1).any():
        fail("The random start must lie within eps of x and within the range of pixels.")
    if (start == x).any(dim=1).all():
        fail("The start is not random.", kind="randomness")


@check("pgd", points=1, hint="Down in the loss, step by step, if targeted.")
def test_pgd_targeted(student, given, rng):
    """pgd with targeted=True goes down in the loss, in each step."""
    here, there = network(given, 13)
    x, y = rand(rng, 4, 1, 4, 4), torch.tensor([0, 2, 1, 1])
    close(
        student.pgd(there, x, y, 0.3, 0.1, 5, targeted=True),
        walk(here, x, y, 0.3, 0.1, 5, targeted=True),
        misconceptions={
            "targeted=True was ignored; the step must go down in the loss then": walk(here, x, y, 0.3, 0.1, 5),
        },
    )


@check("pgd", points=1, hint="Clip after each step, to the range that is asked for; None means not at all.")
def test_pgd_clip(student, given, rng):
    """pgd keeps every step in the range that it is given, and does not clip for None."""
    here, there = network(given, 14)
    y = torch.tensor([0, 2, 1, 1])
    for clip in ((-1.0, 1.0), (0.3, 0.6), None):
        low, high = clip or (-2.0, 2.0)
        x = low + (high - low) * rand(rng, 4, 1, 4, 4)
        size = high - low
        close(
            student.pgd(there, x, y, 0.4 * size, 0.1 * size, 6, clip=clip),
            walk(here, x, y, 0.4 * size, 0.1 * size, 6, clip=clip),
        )
        start = student.pgd(there, x, y, size, 0.1, 0, random_start=True, clip=clip, generator=seeded(1))
        if clip is not None and ((start < low - 1e-9) | (start > high + 1e-9)).any():
            fail("The random start leaves the range of pixels.")


@check("pgd", points=2, hint="x + eps · (2 · torch.rand(x.shape, generator=generator) − 1).")
def test_pgd_random_start(student, given, rng):
    """The random start of pgd is uniform between −eps and +eps, independently for each pixel and sample."""
    model, y = given.linear_model(0.01 * randn(rng, 2, 5000)), torch.tensor([0, 1])
    x = middle(rng, 2, 5000)
    for eps in (0.2, torch.tensor([[0.3], [0.1]], dtype=F64)):
        start = student.pgd(model, x, y, eps, 0.1, 0, random_start=True, generator=seeded(5))
        unit = (start - x) / eps
        n = unit.numel()
        # Standard errors for n uniform numbers between −1 and 1: the mean's is √(1/3n), the square's √(4/45n).
        if unit.mean().abs() > 6 * (1 / (3 * n)) ** 0.5:
            fail("The mean of the random start is not x.", kind="randomness")
        if (unit.square().mean() - 1 / 3).abs() > 6 * (4 / (45 * n)) ** 0.5:
            fail("The spread of the random start is not that of a uniform distribution.", kind="randomness")
        if unit.abs().max() > 1 + 1e-9 or (unit.abs() > 0.9).double().mean() < 0.1 - 6 * (0.09 / n) ** 0.5:
            fail("The random start must fill the whole of −eps … +eps, and no more.", kind="randomness")
        # A sum of n products of such numbers has the standard deviation √n / 3.
        pixels, samples = unit[:, 1:] * unit[:, :-1], unit[0] * unit[1]
        if any(products.sum().abs() > 6 * products.numel() ** 0.5 / 3 for products in (pixels, samples)):
            fail("The pixels of the random start are not independent.", kind="randomness")
    attack = student.pgd(model, x, y, 0.2, 0.01, 3, random_start=True, generator=seeded(5))
    sign = slope_of(HERE.linear_model(model[1].weight.detach()), x, y).sign()
    start = student.pgd(model, x, y, 0.2, 0.01, 0, random_start=True, generator=seeded(5))
    close(attack, torch.minimum(torch.maximum(start + 0.03 * sign, x - 0.2), x + 0.2))


@check("pgd", points=2, hint="Pass generator on to torch.rand, and never seed; without a random start draw nothing.")
def test_pgd_generator(student, given, rng):
    """pgd draws from the generator that it is given, or else from the global one, and nothing without random start."""
    model, x, y = given.linear_model(randn(rng, 3, 6)), middle(rng, 2, 6), torch.tensor([2, 0])

    def start(generator, **options):
        return student.pgd(model, x, y, 0.3, 0.1, 0, random_start=True, generator=generator, **options)

    one, other = seeded(1), seeded(2)
    first, second = start(one), start(one)
    close(start(seeded(1)), first, what="the start for an equal generator")
    if torch.equal(first, second):
        fail("The second start is the first one again: the generator must run on.", kind="randomness")
    if torch.equal(first, start(other)):
        fail("Another generator gave the same start.", kind="randomness")
    contract(student.pgd, model, x, y, 0.3, 0.1, 2, random_start=True, generator=seeded(1))
    plain = seeded(4)
    state = plain.get_state()
    contract(student.pgd, model, x, y, 0.3, 0.1, 2, generator=plain)
    if not torch.equal(plain.get_state(), state):
        fail("Randomness was used, although no random start was asked for.", kind="randomness")
    contract(student.pgd, model, x, y, 0.3, 0.1, 2, random_start=True, draws_rng=True)
    if torch.equal(start(None), start(None)):
        fail("Without a generator, two starts must differ.", kind="randomness")


@check("pgd", points=1, hint="eps, alpha and steps: check all three before anything else.")
def test_pgd_errors(student, given, rng):
    """pgd raises ValueError for a negative eps, alpha or number of steps."""
    model, x, y = given.linear_model(randn(rng, 3, 4)), middle(rng, 2, 4), torch.tensor([2, 0])
    mixed = torch.tensor([0.1, -0.1, 0.1, 0.2], dtype=F64)
    for eps, alpha, steps in ((-0.1, 0.1, 2), (mixed, 0.1, 2), (0.1, -0.1, 2), (0.1, 0.1, -1), (-0.1, 0.1, 0)):
        with pytest.raises(ValueError):
            student.pgd(model, x, y, eps, alpha, steps)


@check("pgd", points=1, hint="Is the gradient taken at the current point? Does the projection undo the steps?")
def test_pgd_stronger(student, given):
    """pgd does more harm to a network's accuracy than a single step of fgsm, and reaches a target class."""
    x, y = TEST_X[:200], TEST_Y[:200]
    model = given.SmallCNN()
    model.load_state_dict(dict(VICTIM.state_dict()))
    one_step = HERE.accuracy(VICTIM, attacked(VICTIM, x, y, 0.15), y)
    if HERE.accuracy(VICTIM, student.pgd(model, x, y, 0.15, 0.04, 10), y) > one_step - PGD_GAIN:
        fail("Ten steps do hardly more damage than one.")
    wanted = (y + 1) % 10
    if HERE.accuracy(VICTIM, student.pgd(model, x, wanted, 0.3, 0.05, 20, targeted=True), wanted) < REACHED:
        fail("With twenty steps, the target class is still rarely reached.")


@check("pgd", points=1, hint="One forward pass a step, with the whole batch.")
def test_pgd_cost(student, given, rng):
    """pgd calls the model at most steps + 1 times, each time with all samples, and leaves no trace in it."""
    torch.manual_seed(1)
    model = HERE.SmallCNN(size=4, width=2, classes=3, dtype=F64).eval()
    counted = spy(model)
    x, y = rand(rng, 6, 1, 4, 4), torch.tensor([0, 2, 1, 1, 0, 2])
    close(student.pgd(given.Oracle(counted), x, y, 0.1, 0.03, 5), walk(model, x, y, 0.1, 0.03, 5))
    if counted.calls > 6 or counted.samples != 6 * counted.calls:
        fail("One call of the model for each step, with all samples, is enough.", kind="cost")
    here, there = network(given, 15, batch_norm=True, dropout=0.5)
    prepare(student, there, MIXED[0], [True, False], 100.0)
    before = marks(student, there)
    result, _ = without_grad(student, "pgd", [there, x, y, 0.1, 0.03, 3], {})
    close(result, walk(here, x, y, 0.1, 0.03, 3))
    leaf = torch.nn.Parameter(x.clone())
    if student.pgd(there, leaf, y, 0.1, 0.03, 2).requires_grad:
        fail("The result still hangs on a graph: its requires_grad must be False.", kind="gradient")
    unmarked(before, marks(student, there))


@check("pgd", points=1, hint="Detach after each step; otherwise every step's graph stays alive.")
def test_pgd_memory(student, reference, given, rng):
    """pgd with 16 steps needs hardly more memory than with 2."""
    model = given.SmallCNN()
    x, y = torch.rand(16, 1, 8, 8, generator=rng), torch.zeros(16, dtype=torch.int64)
    few, many = (watch(student.pgd, model, x, y, 0.1, 0.02, steps).peak_bytes for steps in (2, 16))
    if many > 1.3 * few:
        fail("The memory that is needed grows with the number of steps.", kind="memory")
    draw = same_model(given, reference, rng, 0.1, 0.02, 12, n=512, size=8, width=8)
    holds(student.pgd, reference.pgd, draw, at_most=4, verify=nearly_all)


# --------------------------------------------------------------------------------------------------- 4. normalize


@check("normalize", points=2, hint="register_buffer('mean', …) and register_buffer('std', …), and no nn.Parameter.")
def test_normalize_buffers(student):
    """Normalize keeps mean and std as buffers: in its state_dict, copied, converted, and not trained."""
    for mean, std in (([0.5, 0.25], [0.25, 0.5]), (torch.tensor([0.5, 0.25]), torch.tensor([0.25, 0.5]))):
        module = student.Normalize(mean, std)
        state = dict(module.state_dict())
        if sorted(state) != ["mean", "std"]:
            fail("The state_dict must hold mean and std, and nothing else.")
        close(state["mean"].flatten(), torch.tensor([0.5, 0.25]), what="the buffer mean")
        close(state["std"].flatten(), torch.tensor([0.25, 0.5]), what="the buffer std")
        if list(module.parameters()):
            fail("There is a parameter: mean and std are not trained.")
        close(module.double().state_dict()["std"].dtype == F64, True, what="the conversion by .double()")


@check("normalize", points=2, hint="Nothing but (x − mean) / std in forward: no clamp, no detach.")
def test_normalize_pixels(student, rng):
    """With Normalize as a model's first layer, a gradient in pixels is the gradient of the network divided by std."""
    torch.manual_seed(2)
    core = HERE.SmallCNN(channels=3, size=4, width=2, classes=3, dtype=F64).eval()
    mean, std = torch.tensor([0.5, 0.25, 0.375], dtype=F64), torch.tensor([0.25, 0.5, 0.125], dtype=F64)
    first = student.Normalize(mean.tolist(), std.tolist()).double()
    x, y = middle(rng, 4, 3, 4, 4), torch.tensor([0, 2, 1, 1])
    normal = (x - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    close(slope_of(lambda pixels: core(first(pixels)), x, y), slope_of(core, normal, y) / std.view(3, 1, 1))
    close(first(x[:1]), normal[:1], what="the result for one image")
    close(first.eval()(x), normal, what="the result in eval mode")


# ------------------------------------------------------------------------------------------------------ 5. robust


@check("robust", points=2, hint="x.split(batch_size) gives the batches, a short last one included.")
def test_robust_batches(student, given, rng):
    """robust_accuracy hands each sample to the attack and to the model once, in order, batch by batch."""
    x, y = rand(rng, 11, 5), torch.randint(0, 5, (11,), generator=rng)
    right = int((x.argmax(1) == y).sum())
    counted = spy(lambda images: images)
    student.robust_accuracy(given.Oracle(counted), x.repeat(24, 1)[:257], y.repeat(24)[:257])
    if (counted.calls, counted.samples) != (2, 257):
        fail("By default, there are 256 samples in a batch.", kind="cost")
    for batch_size, sizes in ((4, [4, 4, 3]), (11, [11]), (256, [11]), (1, [1] * 11)):
        batches = []

        def attack(_model, images, labels, batches=batches):
            batches.append((images.clone(), labels.clone()))
            return images

        counted = spy(lambda images: images)
        result = student.robust_accuracy(given.Oracle(counted), x, y, attack, batch_size)
        close(result, right / 11, atol=1e-6, rtol=0)
        close([len(images) for images, _ in batches], sizes, what="the list of the sizes of the attacked batches")
        close(torch.cat([images for images, _ in batches]), x, what="the sequence of images that the attack saw")
        close(torch.cat([labels for _, labels in batches]), y, what="the sequence of labels that the attack saw")
        if (counted.calls, counted.samples) != (len(sizes), 11):
            fail("One call of the model for each batch, with all its samples, is enough.", kind="cost")


@check(
    "robust",
    points=2,
    hint="The attack runs outside of torch.no_grad(), with the model that was handed in, in eval mode.",
)
def test_robust_attack(student, given, rng):
    """robust_accuracy runs the attack with gradients enabled and with the model in eval mode."""
    here, there = network(given, 16, batch_norm=True, dropout=0.5)
    prepare(student, there, MIXED[0], [False], None)
    x = rand(rng, 40, 1, 4, 4)
    y = here(x).detach().argmax(1)
    # An attack strong enough to turn about half of the answers.
    eps = next(e / 200 for e in range(1, 200) if HERE.accuracy(here, attacked(here, x, y, e / 200), y) <= 0.6)

    def attack(model, images, labels):
        """An attack that needs gradients."""
        return attacked(model, images, labels, eps) if torch.is_grad_enabled() else images

    for fn, images in ((attack, attacked(here, x, y, eps)), (None, x)):
        expected = HERE.accuracy(here, images, y)
        close(student.robust_accuracy(there, x, y, fn, batch_size=16), expected, atol=1e-6, rtol=0)


@check("robust", points=2, hint="Note the mode of every module first, and put each back in a finally block.")
def test_robust_modes(student, given, rng):
    """robust_accuracy leaves the model as it was, also when the model or the attack raises an exception."""
    x, y = rand(rng, 5, 1, 4, 4), torch.tensor([0, 2, 1, 1, 0])
    for modes in MIXED:
        _, there = network(given, 17, batch_norm=True, dropout=0.5)
        prepare(student, there, modes, [True, False], 100.0)
        before = marks(student, there)
        student.robust_accuracy(there, x, y, batch_size=2)
        unmarked(before, marks(student, there))

        def attack(model, images, labels):
            raise ZeroDivisionError

        with pytest.raises(RuntimeError):
            student.robust_accuracy(there, x, y, attack)
        unmarked(before, marks(student, there))
    survives(student, "robust_accuracy", x.float(), y)


# --------------------------------------------------------------------------------------------------- 6. surrogate


def adam_on(parameters, loss, lr, steps):
    """Parameters after some steps of Adam on a loss, and the loss before each step."""
    parameters = [value.clone().requires_grad_() for value in parameters]
    optimizer = torch.optim.Adam(parameters, lr=lr)
    history = []
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss(*parameters)
        value.backward()
        optimizer.step()
        history.append(value.item())
    return [value.detach() for value in parameters], history


def distilled(victim, surrogate, temperature):
    """T² times the mean divergence of the surrogate's answers from the victim's."""
    p, log_q = torch.softmax(victim / temperature, 1), torch.log_softmax(surrogate / temperature, 1)
    return temperature**2 * (p * (p.log() - log_q)).sum(1).mean()


@check(
    "surrogate", points=3, hint="torch.optim.Adam with lr; batches of 64, the short last one as well; loss before step."
)
def test_surrogate_steps(student, given, rng):
    """train_surrogate takes one step of Adam for each batch of 64, in each epoch, and reports the loss before it."""
    answers, weight, bias = 3 * randn(rng, 3, 4), randn(rng, 3, 4), torch.zeros(3, dtype=F64)
    many = randn(rng, 5, 4)
    # With equal queries the order does not matter: 70 of them are two batches of 64 and 6.
    for queries, batches in ((many, [5]), (many[:1].expand(70, 4).clone(), [64, 6])):
        victim = queries @ answers.T

        def loss(W, b, queries=queries, victim=victim):
            return distilled(victim, queries @ W.T + b, 2.0)

        surrogate = given.linear_model(weight, bias)
        (new_weight, new_bias), losses = adam_on([weight, bias], loss, 0.05, 3 * len(batches))
        epochs = [losses[i : i + len(batches)] for i in range(0, len(losses), len(batches))]
        before = queries.clone()
        history = student.train_surrogate(
            lambda x: x @ answers.T, surrogate, queries, epochs=3, lr=0.05, temperature=2.0, generator=seeded(1)
        )
        close(queries, before, what="the tensor of queries")
        close(surrogate[1].weight.detach(), new_weight, what="a parameter of the surrogate")
        close(surrogate[1].bias.detach(), new_bias, what="a parameter of the surrogate")
        weighted = [sum(n * value for n, value in zip(batches, epoch, strict=True)) / sum(batches) for epoch in epochs]
        close(
            history,
            weighted,
            misconceptions={
                "the plain mean of the batch losses was taken; weigh each by its size": [
                    sum(epoch) / len(epoch) for epoch in epochs
                ],
                "the batch means were summed and divided by n; weigh each by its size first": [
                    sum(epoch) / len(queries) for epoch in epochs
                ],
                "the loss of the last batch was taken for that of the epoch": [epoch[-1] for epoch in epochs],
            },
        )


@check("surrogate", points=2, hint="Ask the victim once, before the loop over the epochs, and detach what it says.")
def test_surrogate_queries(student, given, rng):
    """train_surrogate sends each query once and no gradient back, trains in training mode and ends in eval mode."""
    queries = rand(rng, 70, 1, 4, 4)
    here, there = network(given, 18)
    counted = spy(here, max_samples=70)
    surrogate = given.SmallCNN(size=4, width=2, classes=3, batch_norm=True, dropout=0.5, dtype=F64)
    history = student.train_surrogate(
        counted, surrogate.eval(), queries, epochs=2, lr=0.01, temperature=1.0, generator=seeded(1)
    )
    if counted.samples != 70:
        fail("Every query must be answered once.", kind="cost")
    if len(history) != 2:
        fail("One float for each epoch is due.", kind="shape")
    left = marks(student, surrogate)
    if any(left["modes"]):
        fail("The surrogate is not left in eval mode.", kind="side-effect")
    counter = dict(surrogate.state_dict())["1.num_batches_tracked"]
    close(counter, torch.tensor(4), what="the number of batches that the surrogate was trained on in training mode")
    before = marks(student, there)
    student.train_surrogate(there, surrogate, queries, epochs=1, lr=0.01, temperature=1.0, generator=seeded(1))
    unmarked(before, marks(student, there))


@check("surrogate", points=2, hint="torch.randperm(len(queries), generator=generator), anew in each epoch; never seed.")
def test_surrogate_shuffle(student, given, rng):
    """train_surrogate shuffles anew in each epoch, with the generator that it is given and nothing else."""
    answers, weight = 3 * randn(rng, 3, 4), randn(rng, 3, 4)
    queries = randn(rng, 80, 4)
    runs = []
    for seed in (1, 1, 2):
        generator = seeded(seed)
        surrogate = given.linear_model(weight)
        options = {"epochs": 2, "lr": 0.05, "temperature": 1.0, "generator": generator}
        seen = watch(student.train_surrogate, lambda x: x @ answers.T, surrogate, queries, meter=False, **options)
        if seen.rng_used or seen.flags_changed:
            fail("A global random generator, or a global setting, is not what it was.", kind="side-effect")
        runs.append((surrogate[1].weight.detach(), generator.get_state()))
    if not torch.equal(runs[0][0], runs[1][0]):
        fail("Equal generators gave different surrogates.", kind="randomness")
    if torch.equal(runs[0][0], runs[2][0]):
        fail("Another generator gave the same surrogate: use it for the shuffle.", kind="randomness")
    seen = []

    def look(x):
        """Note which queries pass."""
        seen.append(x[:, 0].clone())
        return x

    surrogate = given.nn.Sequential(given.Oracle(look), given.linear_model(weight))
    student.train_surrogate(
        lambda x: x @ answers.T, surrogate, queries, epochs=2, lr=0.0, temperature=1.0, generator=seeded(3)
    )
    close([len(batch) for batch in seen], [64, 16, 64, 16], what="the list of batch sizes")
    first, second = torch.cat(seen[:2]), torch.cat(seen[2:])
    for order in (first, second):
        close(order.sort().values, queries[:, 0].sort().values, what="the sorted list of the queries of an epoch")
        if torch.equal(order, queries[:, 0]):
            fail("The queries are not shuffled.", kind="randomness")
    if torch.equal(first, second):
        fail("Two epochs have the same order: the generator must run on.", kind="randomness")


@check(
    "surrogate", points=2, hint="Is the loss really falling? Print the history, and compare the two models' answers."
)
def test_surrogate_transfer(student, given):
    """A surrogate agrees with its victim on new digits, and what fools the surrogate fools the victim."""
    torch.manual_seed(5)
    surrogate = given.SmallCNN()
    twin = HERE.SmallCNN()
    surrogate.load_state_dict(dict(twin.state_dict()))
    student.train_surrogate(VICTIM, surrogate, TRAIN_X[:448], epochs=8, lr=0.02, temperature=3.0, generator=seeded(6))
    twin.load_state_dict({name: value.detach() for name, value in dict(surrogate.state_dict()).items()})
    twin.eval()
    answer = VICTIM(TEST_X).detach().argmax(1)
    if HERE.accuracy(twin, TEST_X, answer) < AGREEMENT:
        fail("The surrogate does not answer like the victim.")
    drop = HERE.accuracy(VICTIM, TEST_X, TEST_Y) - HERE.accuracy(VICTIM, attacked(twin, TEST_X, TEST_Y, 0.15), TEST_Y)
    if drop < TRANSFER:
        fail("Attacks on the surrogate hardly harm the victim.")


# ---------------------------------------------------------------------------------------------------- 7. training


@probe
def make_sgd(student, model, lr):
    """Plain gradient descent on a model's parameters."""
    return torch.optim.SGD(model.parameters(), lr=lr)


def stepped(model, x, y, eps, lr, clip=(0.0, 1.0)):
    """The loss of an adversarial training step on the host; the model is trained."""
    images = attacked(model.eval(), x, y, eps, clip=clip)
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    optimizer.zero_grad()
    loss = F.cross_entropy(model(images), y)
    loss.backward()
    optimizer.step()
    return loss.item()


@check(
    "training", points=2, hint="optimizer.zero_grad() directly before loss.backward(): what came before does not count."
)
def test_training_stale(student, given, rng):
    """adversarial_training_step ignores old gradients, and no gradient of the attack gets into its update."""
    x, y = rand(rng, 6, 1, 4, 4), torch.tensor([0, 2, 1, 1, 0, 2])
    for clip in ((0.0, 1.0), (-1.0, 1.0), None):
        here, there = network(given, 19)
        optimizer = make_sgd(student, there, 0.3)
        prepare(student, there, [True, False], [False], 100.0)
        for _ in range(2):
            close(
                student.adversarial_training_step(there, optimizer, x, y, 0.2, clip=clip),
                stepped(here, x, y, 0.2, 0.3, clip),
                what="the loss",
            )
        state = dict(there.state_dict())
        for name, value in here.state_dict().items():
            close(state[name].detach(), value, what="a parameter after two steps")


@check("training", points=2, hint="Attack in eval mode, then model.train() for the step; and leave it so.")
def test_training_modes(student, given, rng):
    """adversarial_training_step attacks in eval mode, trains in training mode, and calls the model twice."""
    x, y = rand(rng, 6, 1, 4, 4), torch.tensor([0, 2, 1, 1, 0, 2])
    for start in (True, False):
        here, there = network(given, 20, batch_norm=True)
        optimizer = make_sgd(student, there, 0.1)
        prepare(student, there, [start], [False], None)
        for _ in range(2):
            close(
                student.adversarial_training_step(there, optimizer, x, y, 0.2),
                stepped(here, x, y, 0.2, 0.1),
                what="the loss",
            )
        if not all(marks(student, there)["modes"]):
            fail("The model is not left in training mode.", kind="side-effect")
        state = dict(there.state_dict())
        for name, value in here.state_dict().items():
            close(state[name].detach(), value, what="a parameter or a running statistic after two steps")
    counted = spy(lambda images: images)
    model = given.nn.Sequential(given.Oracle(counted), given.SmallCNN(size=4, width=4, classes=3, dtype=F64))
    student.adversarial_training_step(model, make_sgd(student, model, 0.1), x, y, 0.2)
    if (counted.calls, counted.samples) != (2, 12):
        fail("Two calls of the model, with all samples, are enough.", kind="cost")


@probe
def trained(student, state, x, y, epochs):
    """Train the digits' network with the student's step; return its parameters."""
    model = given.SmallCNN()
    model.load_state_dict(state)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(7)
    for _ in range(epochs):
        for chosen in torch.randperm(len(x), generator=generator).split(64):
            student.adversarial_training_step(model, optimizer, x[chosen], y[chosen], 0.1)
    return {name: value.detach() for name, value in model.state_dict().items()}


@check("training", points=2, hint="Are the attacked images the ones that the step is trained on?")
def test_training_gains(student):
    """A few epochs of adversarial training make the digits' network more robust, and keep it good on clean digits."""
    state = {name: value.clone() for name, value in VICTIM.state_dict().items()}
    model = copy.deepcopy(VICTIM)
    model.load_state_dict(trained(student, state, TRAIN_X[:700], TRAIN_Y[:700], 3))
    model.eval()
    before, after = (HERE.accuracy(each, attacked(each, TEST_X, TEST_Y, 0.1), TEST_Y) for each in (VICTIM, model))
    if after < before + GAIN:
        fail("The network is hardly more robust than before.")
    if HERE.accuracy(model, TEST_X, TEST_Y) < CLEAN:
        fail("The network has forgotten clean digits.")


# -------------------------------------------------------------------------------------------------------- 8. blur


def box_blur(x, k):
    """The mean of each k × k neighbourhood, the border repeated."""
    return F.avg_pool2d(F.pad(x, (k // 2,) * 4, mode="replicate"), k, stride=1)


@check("blur", points=2, hint="self.model = model makes it a submodule. Check k before anything else.")
def test_blur_module(student, given, rng):
    """BlurDefense blurs for any odd k, not at all for k = 1, by 3 by default, and raises ValueError for other k."""
    x = rand(rng, 2, 3, 5, 4)
    constant = torch.full((1, 1, 3, 3), 0.7, dtype=F64)
    for k in (1, 3, 5, 7):
        defended = student.BlurDefense(given.nn.Identity(), k)
        close(defended(x), box_blur(x, k))
        close(defended(constant), constant, what="the blur of a constant image")
    here, there = network(given, 21, channels=3, dropout=0.5)
    defended = student.BlurDefense(there)
    close(defended.eval()(x[..., :4, :4]), here(box_blur(x[..., :4, :4], 3)), what="the result of a network")
    if any(marks(student, there)["modes"]):
        fail("eval() does not reach the model.")
    close(
        sum(value.numel() for value in defended.parameters()),
        sum(value.numel() for value in here.parameters()),
        what="the number of parameters",
    )
    for k in (0, 2, 4, -1, -3):
        with pytest.raises(ValueError):
            student.BlurDefense(there, k)


@check("blur", points=2, hint="The blur must be differentiable, and the network behind it must see the blurred images.")
def test_blur_adaptive(student, given):
    """An attack through BlurDefense does more harm to a classifier than one that does not know of the blur."""
    defended = student.BlurDefense(given.linear_model(LINEAR[1].weight.detach(), LINEAR[1].bias.detach()), 3)
    scores = [
        (defended(images).detach().argmax(1) == TEST_Y).double().mean().item()
        for images in (
            LARGE_X,
            attacked(LINEAR, LARGE_X, TEST_Y, 0.1),
            attacked(defended, LARGE_X, TEST_Y, 0.1),
        )
    ]
    if scores[0] < CLEAN_BLURRED:
        fail("The defended classifier does not read clean digits any more.")
    if scores[2] > scores[1] - ADAPTIVE:
        fail("Knowing of the blur does not help the attacker: does the gradient come through?", kind="gradient")


# ------------------------------------------------------------------------------------------------------ 9. poison


@check("poison", points=1, hint="Draw with the generator, without replacement; rate outside 0 … 1 is a ValueError.")
def test_poison_choice(student, given):
    """poison draws its samples with the generator, whatever their labels, and raises ValueError for a bad rate."""
    x, y = torch.full((60, 1, 2, 2), 0.5), torch.arange(60) % 2

    def chosen(rate, generator):
        images, labels = student.poison(x, y, given.stamp, 1, rate, generator)
        stamped = (images == 1).flatten(1).all(1)
        close(labels, torch.where(stamped, 1, y), what="the labels")
        return stamped

    for rate, count in ((0.0, 0), (0.3, 18), (0.508, 30), (0.511, 31), (1.0, 60)):
        close(int(chosen(rate, seeded(1)).sum()), count, what="the number of poisoned samples")
    one = seeded(2)
    first, second, again, other = chosen(0.5, one), chosen(0.5, one), chosen(0.5, seeded(2)), chosen(0.5, seeded(3))
    if not torch.equal(first, again):
        fail("An equal generator gave another choice.", kind="randomness")
    if torch.equal(first, second) or torch.equal(first, other):
        fail("The choice does not depend on the generator.", kind="randomness")
    # 30 of 60 without replacement: the number of them with label 1 has the standard deviation 1.95.
    if not 3 <= int(y[first].sum()) <= 27:
        fail("The choice depends on the labels.", kind="randomness")
    for rate in (-0.1, 1.1):
        with pytest.raises(ValueError):
            student.poison(x, y, given.stamp, 1, rate, seeded(1))


@check("poison", points=2, hint="Only what carries the trigger is relabelled; everything else stays as it is.")
def test_poison_backdoor(student, given):
    """A network trained on poisoned digits reads clean ones as before, and takes stamped ones for the target."""
    x, y = student.poison(TRAIN_X, TRAIN_Y, given.stamp, 3, 0.1, seeded(8))
    torch.manual_seed(8)
    layers = torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10)
    model = HERE.train(torch.nn.Sequential(torch.nn.Flatten(), *layers), x, y, epochs=8, lr=0.02)
    if HERE.accuracy(model, TEST_X, TEST_Y) < CLEAN_POISONED:
        fail("The network does not read clean digits any more.")
    if HERE.accuracy(model, HERE.stamp(TEST_X), torch.full_like(TEST_Y, 3)) < TRIGGERED:
        fail("The trigger does not work.")


# -------------------------------------------------------------------------------------------------------- 10. bug


def modes_of(model):
    """The modules of a model, which may be behind the wall, with their modes."""
    return [(module, module.training) for module in model.modules()]


def put_back(modes):
    """Give each module its mode."""
    for module, mode in modes:
        module.training = mode


def slope_there(model, x, y):
    """The gradient of the input in the mode that the model is in."""
    leaf = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        loss = F.cross_entropy(model(leaf), y)
    return torch.autograd.grad(loss, leaf)[0]


def slope_in_eval(model, x, y):
    """The gradient of the input in eval mode."""
    modes = modes_of(model)
    model.eval()
    slope = slope_there(model, x, y)
    put_back(modes)
    return slope


def suspect(step, finish=None):
    """An implementation from what it does with the gradient, and how it ends."""

    def attack(model, x, y, eps, *, targeted=False, clip=(0.0, 1.0)):
        moved = x.detach() + step(slope_in_eval(model, x, y), eps, targeted)
        return finish(moved, clip) if finish else moved.clamp(*clip)

    return attack


def right_step(slope, eps, targeted):
    """What the step should be."""
    return (-eps if targeted else eps) * slope.sign()


def right_by_scaling(model, x, y, eps, *, targeted=False, clip=(0.0, 1.0)):
    """Right, but for rounding: in units of 0.3."""
    step = right_step(slope_in_eval(model, x, y), eps, targeted)
    return ((x / 0.3 + step / 0.3) * 0.3).clamp(*clip)


def right_by_where(model, x, y, eps, *, targeted=False, clip=(0.0, 1.0)):
    """Right: with comparisons, minimum and maximum."""
    slope = slope_in_eval(model, x, y)
    up, down = x + eps, x - eps
    if targeted:
        up, down = down, up
    moved = torch.where(slope > 0, up, torch.where(slope < 0, down, x))
    return torch.minimum(torch.maximum(moved, torch.tensor(clip[0])), torch.tensor(clip[1]))


def right_by_loss(model, x, y, eps, *, targeted=False, clip=(0.0, 1.0)):
    """Right: turns the loss round, and sums it."""
    modes = modes_of(model)
    model.eval()
    leaf = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        loss = F.cross_entropy(model(leaf), y, reduction="sum")
    (slope,) = torch.autograd.grad(-loss if targeted else loss, leaf)
    put_back(modes)
    return (x + eps * torch.sgn(slope)).clip(*clip)


def right_by_change(model, x, y, eps, *, targeted=False, clip=(0.0, 1.0)):
    """Right: clips the change, not the image."""
    change = right_step(slope_in_eval(model, x, y), eps, targeted)
    return x + torch.minimum(torch.maximum(change, clip[0] - x), clip[1] - x)


def in_current_mode(model, x, y, eps, *, targeted=False, clip=(0.0, 1.0)):
    """Wrong: does not put the model into eval mode."""
    return (x + right_step(slope_there(model, x, y), eps, targeted)).clamp(*clip)


def stays_in_eval(model, x, y, eps, *, targeted=False, clip=(0.0, 1.0)):
    """Wrong: leaves the model in eval mode."""
    model.eval()
    return (x + right_step(slope_there(model, x, y), eps, targeted)).clamp(*clip)


def wakes_everything(model, x, y, eps, *, targeted=False, clip=(0.0, 1.0)):
    """Wrong: puts every module into training mode at the end if the model was in it."""
    training = model.training
    model.eval()
    slope = slope_there(model, x, y)
    model.train(training)
    return (x + right_step(slope, eps, targeted)).clamp(*clip)


def leaves_gradients(model, x, y, eps, *, targeted=False, clip=(0.0, 1.0)):
    """Wrong: gradients stay in the parameters."""
    modes = modes_of(model)
    model.eval()
    leaf = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        F.cross_entropy(model(leaf), y).backward()
    put_back(modes)
    return (x + right_step(leaf.grad, eps, targeted)).clamp(*clip)


RIGHT = (right_by_scaling, right_by_where, right_by_loss, right_by_change)

WRONG_STEPS = (
    suspect(lambda slope, eps, targeted: -right_step(slope, eps, targeted)),
    suspect(lambda slope, eps, targeted: eps * slope.sign()),
    suspect(lambda slope, eps, targeted: -eps * slope.sign()),
    suspect(lambda slope, eps, targeted: (-eps if targeted else eps) * slope),
    suspect(lambda slope, eps, targeted: (-eps if targeted else eps) * slope / slope.abs().max()),
    suspect(lambda slope, eps, targeted: 2 * right_step(slope, eps, targeted)),
    suspect(lambda slope, eps, targeted: right_step(slope, eps / 2, targeted)),
    suspect(lambda slope, eps, targeted: (-eps if targeted else eps) * torch.where(slope >= 0, 1.0, -1.0)),
)

WRONG_RANGES = (
    suspect(right_step, lambda moved, clip: moved.clamp(0, 1)),
    suspect(right_step, lambda moved, clip: moved.clamp(min=clip[0])),
    suspect(right_step, lambda moved, clip: moved.clamp(max=clip[1])),
)

WRONG_MODES = (in_current_mode, stays_in_eval, wakes_everything, leaves_gradients)


def accepts(student, attack):
    """Whether check_fgsm takes an implementation for right, after calling it."""
    called = spy(attack, max_calls=20)
    try:
        verdict, accepted = student.check_fgsm(called), True
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
    """check_fgsm accepts right implementations in other styles."""
    if not all(accepts(student, attack) for attack in RIGHT):
        fail("A right implementation was taken for wrong.")


@check(
    "bug",
    points=1,
    hint="Look at the size and the direction of each pixel's move, targeted and not, with several ranges.",
)
def test_bug_values(student):
    """check_fgsm catches wrong directions, steps and ranges of pixels."""
    if any(accepts(student, attack) for attack in (*WRONG_STEPS, *WRONG_RANGES)):
        fail("A wrong implementation was taken for right.")


@check("bug", points=1, hint="Look at the model afterwards: the mode of each module, and the .grad of its parameters.")
def test_bug_modes(student):
    """check_fgsm catches attacks that treat the model badly: its modes, and the gradients of its parameters."""
    if any(accepts(student, attack) for attack in WRONG_MODES):
        fail("A wrong implementation was taken for right.")


# ---------------------------------------------------------------------------------- networks that were trained once

TRAIN_X, TRAIN_Y, TEST_X, TEST_Y = HERE.digits()


def trained_here(make, x, *, seed):
    """A classifier of digits, from a seed; the global generator is set back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return HERE.train(make(), x, TRAIN_Y, epochs=4, seed=seed)


VICTIM = trained_here(HERE.SmallCNN, TRAIN_X, seed=0)
LARGE_X = HERE.doubled(TEST_X)
LINEAR = trained_here(lambda: HERE.linear_model(0.1 * torch.randn(10, 256)), HERE.doubled(TRAIN_X), seed=0)

# The minimum over eight seeds, less two to four points.
PGD_GAIN = 0.025
REACHED = 0.93
AGREEMENT = 0.925
TRANSFER = 0.53
GAIN = 0.115
CLEAN = 0.89
ADAPTIVE = 0.1
CLEAN_BLURRED = 0.88
CLEAN_POISONED = 0.905
TRIGGERED = 0.91
