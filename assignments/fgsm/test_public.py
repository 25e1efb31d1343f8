"""Public checks of adversarial attacks: the ones that students run themselves.

They count when a notebook is marked; the gate of each exercise is here. Worth 29 of the 100 points, and 2 of the bonus.
"""

import torch
from torch.nn import functional as F

from grader.checks import check, close, contract, fail, forbid, probe, spy, watch

# Policy told to students at the top of the notebook. Modules are left out: converting them assigns to parameters' data.
FUNCTIONS = ("gradient", "fgsm", "pgd", "robust", "surrogate", "training", "poison", "bug")
FORBIDDEN = [forbid(*FUNCTIONS, names=("torch.Tensor.data.__set__",), instead="detach, clone and torch.no_grad")]

BOTH_DTYPES = (torch.float64, torch.float32)


def randn(rng, *shape, dtype=torch.float64):
    """Standard normal numbers, the same ones for both dtypes."""
    return torch.randn(*shape, generator=rng, dtype=torch.float64).to(dtype)


def middle(rng, *shape, dtype=torch.float64):
    """Pixels between 0.3 and 0.7: an attack with a budget of up to 0.3 is never clipped."""
    return (0.3 + 0.4 * torch.rand(*shape, generator=rng, dtype=torch.float64)).to(dtype)


def without_graph(result):
    """End the check if a graph hangs on the result."""
    if result.requires_grad:
        fail("The result still hangs on a graph: its requires_grad must be False.", kind="gradient")


@probe
def marks(student, model):
    """Everything about a model that a function could leave behind: modes, parameters, buffers, gradients."""
    return {
        "modes": [module.training for module in model.modules()],
        "recorded": [parameter.requires_grad for parameter in model.parameters()],
        "values": [value.detach().clone() for value in model.state_dict().values()],
        "gradients": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
    }


def unmarked(before, after):
    """End the check if a function left a mark on a model."""
    if after["modes"] != before["modes"]:
        fail("The model, or one of its submodules, is not in the mode that it had before.", kind="side-effect")
    if after["recorded"] != before["recorded"]:
        fail("The requires_grad of a parameter is not what it was.", kind="side-effect")
    if not all(torch.equal(one, other) for one, other in zip(before["values"], after["values"], strict=True)):
        fail("The parameters or buffers of the model changed.", kind="mutation")
    for old, new in zip(before["gradients"], after["gradients"], strict=True):
        if (old is None) != (new is None) or (old is not None and not torch.equal(old, new)):
            fail("Something was added to the .grad of a parameter of the model.", kind="mutation")


# ---------------------------------------------------------------------------------------------------- 1. gradient


def linear_gradient(weight, bias, x, y):
    """What the mean cross-entropy's gradient is for a linear model."""
    truth = torch.eye(len(weight), dtype=x.dtype)[y]
    return ((torch.softmax(x.flatten(1) @ weight.T + bias, 1) - truth) @ weight / len(x)).view_as(x)


@check(
    "gradient",
    points=3,
    gate=True,
    hint="A detached copy of x that requires grad, the loss of model(copy), and torch.autograd.grad(loss, copy)[0].",
)
def test_gradient_values(student, given, rng):
    """input_gradient of a linear model is Wᵀ(softmax − one-hot) / n, without a graph and without a trace."""
    y = torch.tensor([2, 0, 1, 1])
    for dtype in BOTH_DTYPES:
        weight, bias = randn(rng, 3, 4, dtype=dtype), randn(rng, 3, dtype=dtype)
        x = randn(rng, 4, 1, 2, 2, dtype=dtype)
        model = given.linear_model(weight, bias)
        before = marks(student, model)
        result = contract(student.input_gradient, model, x, y)
        expected = linear_gradient(weight, bias, x, y)
        close(
            result,
            expected,
            misconceptions={
                "the gradient of the summed loss was returned; the loss is a mean": 4 * expected,
                "the sign was taken already; here the gradient itself is due": expected.sign(),
                "the loss was minimised: the gradient has the wrong sign": -expected,
                "a single logit was differentiated, not the loss": weight[y].view_as(x),
            },
        )
        without_graph(result)
        unmarked(before, marks(student, model))


@check("gradient", points=1, hint="Compare with (loss(x + h) − loss(x − h)) / 2h in float64: is it the same loss?")
def test_gradient_differences(student, given, rng):
    """A small step along the gradient of a network's input raises the loss by the step times its squared length."""
    model = given.SmallCNN(size=4, width=2, classes=3, dtype=torch.float64)
    x, y = middle(rng, 3, 1, 4, 4), torch.tensor([0, 2, 1])
    gradient = student.input_gradient(model, x, y)
    step = 1e-5
    up, down = (F.cross_entropy(model(x + sign * step * gradient).detach(), y) for sign in (1, -1))
    close((up - down) / (2 * step), gradient.square().sum(), rtol=1e-4, atol=1e-8, what="the growth of the loss")


# -------------------------------------------------------------------------------------------------------- 2. fgsm


@check("fgsm", points=4, gate=True, hint="x + eps · sign(gradient), clipped to the range of pixels, detached.")
def test_fgsm_values(student, given, rng):
    """fgsm moves each pixel by eps in the direction in which the loss grows, and clips to 0 … 1."""
    y = torch.tensor([2, 0, 1, 1])
    for dtype in BOTH_DTYPES:
        weight, bias = randn(rng, 3, 4, dtype=dtype), randn(rng, 3, dtype=dtype)
        x = torch.rand(4, 1, 2, 2, generator=rng, dtype=torch.float64).to(dtype)
        x[0, 0, 0], x[1, 0, 0] = 0.0, 1.0
        model = given.linear_model(weight, bias)
        before = marks(student, model)
        slope = linear_gradient(weight, bias, x, y)
        result = contract(student.fgsm, model, x, y, 0.1)
        close(
            result,
            (x + 0.1 * slope.sign()).clamp(0, 1),
            misconceptions={
                "the step goes down in the loss; an untargeted attack goes up": (x - 0.1 * slope.sign()).clamp(0, 1),
                "the result was not clipped to the range of pixels": x + 0.1 * slope.sign(),
                "the gradient itself was added, not its sign": (x + 0.1 * slope).clamp(0, 1),
                "the perturbation was returned, not the attacked images": 0.1 * slope.sign(),
                "eps was taken in steps of 1/255; it is in the units of x": (x + 0.1 / 255 * slope.sign()).clamp(0, 1),
            },
        )
        without_graph(result)
        unmarked(before, marks(student, model))


@check("fgsm", points=2, hint="If targeted, y is the class that is wanted: its loss must go down.")
def test_fgsm_targeted(student, given, rng):
    """fgsm with targeted=True moves each pixel by eps in the direction in which the loss of the target falls."""
    weight, bias = randn(rng, 3, 4), randn(rng, 3)
    x, y = middle(rng, 5, 1, 2, 2), torch.tensor([2, 0, 1, 1, 0])
    sign = linear_gradient(weight, bias, x, y).sign()
    close(
        contract(student.fgsm, given.linear_model(weight, bias), x, y, 0.2, targeted=True),
        x - 0.2 * sign,
        misconceptions={"targeted=True was ignored; the step must go down in the loss then": x + 0.2 * sign},
    )


# --------------------------------------------------------------------------------------------------------- 3. pgd


def walk(loss, x, eps, alpha, steps, low=0.0, high=1.0, anchored=True):
    """Projected gradient ascent on the host; not anchored: projected onto the ball round the last point."""
    point = x
    for _ in range(steps):
        leaf = point.clone().requires_grad_()
        (slope,) = torch.autograd.grad(loss(leaf), leaf)
        centre = x if anchored else point
        point = (point + alpha * slope.sign()).clamp(low, high)
        point = torch.minimum(torch.maximum(point, centre - eps), centre + eps)
    return point


@check(
    "pgd",
    points=4,
    gate=True,
    hint="Take the gradient at the current point, step by alpha · sign, then clamp to x − eps … x + eps and to clip.",
)
def test_pgd_values(student, given, rng):
    """pgd takes steps of alpha along the sign of the gradient, and stays within eps of the original and within clip."""
    y = torch.tensor([1, 0, 1, 0])
    for dtype in BOTH_DTYPES:
        weight, bias = randn(rng, 2, 4, dtype=dtype), randn(rng, 2, dtype=dtype)
        x = middle(rng, 4, 1, 2, 2, dtype=dtype)
        x[0, 0, 0], x[1, 0, 0] = 0.0, 1.0
        model = given.linear_model(weight, bias)
        before = marks(student, model)
        sign = linear_gradient(weight, bias, x, y).sign()
        for steps, reach in ((2, 0.08), (4, 0.1)):
            result = contract(student.pgd, model, x, y, 0.1, 0.04, steps)
            close(
                result,
                (x + reach * sign).clamp(0, 1),
                misconceptions={
                    "the steps were not projected back to within eps of the original": (
                        (x + 0.04 * steps * sign).clamp(0, 1)
                    ),
                    "the steps go down in the loss; an untargeted attack goes up": (x - reach * sign).clamp(0, 1),
                    "the step was eps, not alpha": (x + 0.1 * sign).clamp(0, 1),
                    "only one step was taken": (x + 0.04 * sign).clamp(0, 1),
                    "the result was not clipped to the range of pixels": x + reach * sign,
                },
            )
            without_graph(result)
        unmarked(before, marks(student, model))


@check(
    "pgd", points=2, depends=("fgsm_values",), hint="One step of size eps from x itself: no random start, no scaling."
)
def test_pgd_is_fgsm(student, given, rng):
    """pgd with one step of size eps is fgsm, on a network and in the targeted case too."""
    model = given.SmallCNN(size=4, width=2, classes=3, dtype=torch.float64)
    x, y = torch.rand(5, 1, 4, 4, generator=rng, dtype=torch.float64), torch.tensor([0, 2, 1, 1, 0])
    for targeted in (False, True):
        expected = student.fgsm(model, x, y, 0.15, targeted=targeted)
        close(student.pgd(model, x, y, 0.15, 0.15, 1, targeted=targeted), expected)


# --------------------------------------------------------------------------------------------------- 4. normalize


@check("normalize", points=2, gate=True, hint="Shape the buffers (c, 1, 1), so that they broadcast over n, h and w.")
def test_normalize_values(student, rng):
    """Normalize subtracts the mean and divides by the standard deviation of each channel, in the dtype of x."""
    mean, std = torch.tensor([0.5, 0.25, 0.125]), torch.tensor([0.25, 0.5, 2.0])
    for dtype in BOTH_DTYPES:
        x = middle(rng, 2, 3, 4, 3, dtype=dtype).requires_grad_()
        module = student.Normalize(mean.tolist(), std.tolist())
        if dtype == torch.float64:
            module = module.double()
        m, s = (value.to(dtype).view(3, 1, 1) for value in (mean, std))
        result = contract(module, x)
        value = x.detach()
        close(
            result,
            (value - m) / s,
            misconceptions={
                "the result was divided by the variance; divide by the standard deviation": (value - m) / s**2,
                "x was divided first, and the mean subtracted afterwards": value / s - m,
                "the normalisation was inverted; subtract the mean, then divide": value * s + m,
            },
        )
        if not result.requires_grad:
            fail("The result is cut off from autograd: no gradient flows back to the pixels.", kind="gradient")
        (slope,) = torch.autograd.grad(result.sum(), x)
        close(slope, torch.ones_like(value) / s, what="the gradient")


# ------------------------------------------------------------------------------------------------------ 5. robust


@check(
    "robust", points=2, gate=True, hint="Count the right answers of all batches, and divide by the number of samples."
)
def test_robust_values(student, given, rng):
    """robust_accuracy gives the share of samples that are classified right after the attack, as a float."""
    model = given.linear_model(torch.eye(3, dtype=torch.float64))
    before = marks(student, model)
    y = torch.tensor([0, 1, 2, 2, 0, 1, 2, 0, 1, 2])
    x = torch.eye(3, dtype=torch.float64)[y]
    x[:3] = x[:3].roll(1, dims=1)

    def attack(model, images, labels):
        """Turn the second half of a batch."""
        half = len(images) // 2
        return torch.cat([images[:half], images[half:].roll(1, dims=1)])

    close(
        contract(student.robust_accuracy, model, x, y),
        0.7,
        misconceptions={
            "right answers were counted; their share is due": 7.0,
            "the share of wrong answers was returned": 0.3,
            "the share was given in percent; it is a number between 0 and 1": 70.0,
        },
    )
    # In batches of 4: 0 of 4, 2 of 4 and 1 of 2 stay right.
    close(
        contract(student.robust_accuracy, model, x, y, attack, batch_size=4),
        0.3,
        misconceptions={
            "the accuracies of the batches were averaged; a short batch counts too much then": (0.0 + 0.5 + 0.5) / 3,
            "the attack was ignored": 0.7,
        },
    )
    unmarked(before, marks(student, model))


# --------------------------------------------------------------------------------------------------- 6. surrogate


def distilled(victim, surrogate, temperature):
    """T² times the mean divergence of the surrogate's answers from the victim's."""
    p, log_q = torch.softmax(victim / temperature, 1), torch.log_softmax(surrogate / temperature, 1)
    return temperature**2 * (p * (p.log() - log_q)).sum(1).mean()


@check(
    "surrogate",
    points=3,
    gate=True,
    hint="T² · KL(softmax(v/T) ‖ softmax(s/T)), the mean over the samples; F.kl_div takes log q first, then p.",
)
def test_surrogate_loss(student, given, rng):
    """train_surrogate returns the distillation loss of each epoch, which stays the same with a learning rate of 0."""
    queries = randn(rng, 6, 4)
    answers, weight = 3 * randn(rng, 3, 4), randn(rng, 3, 4)
    v, s = queries @ answers.T, queries @ weight.T
    for temperature in (1.0, 2.0):
        p, log_q = torch.softmax(v / temperature, 1), torch.log_softmax(s / temperature, 1)
        expected = distilled(v, s, temperature)
        ideas = {
            "the factor T² is missing": expected / temperature**2,
            "the temperature was ignored": distilled(v, s, 1.0),
            "the divergence was taken the wrong way round": distilled(s, v, temperature),
            "the sum was divided by the number of classes as well; divide by n only": expected / 3,
            "the cross-entropy was returned; the entropy of the victim's answers is still to be subtracted": (
                -(temperature**2) * (p * log_q).sum(1).mean()
            ),
            "the winning class was learnt, not the probabilities": F.cross_entropy(s, v.argmax(1)),
        }
        close(
            contract(
                student.train_surrogate,
                lambda x: x @ answers.T,
                given.linear_model(weight),
                queries,
                epochs=2,
                lr=0.0,
                temperature=temperature,
                generator=torch.Generator().manual_seed(1),
            ),
            [expected.item()] * 2,
            misconceptions={idea: [float(value)] * 2 for idea, value in ideas.items()},
        )


# ---------------------------------------------------------------------------------------------------- 7. training


@probe
def make_sgd(student, model, lr):
    """Plain gradient descent on a model's parameters."""
    return torch.optim.SGD(model.parameters(), lr=lr)


def one_step(weight, bias, x, y, lr):
    """Loss of a linear model, and its parameters after one step of gradient descent."""
    weight, bias = (value.clone().requires_grad_() for value in (weight, bias))
    loss = F.cross_entropy(x.flatten(1) @ weight.T + bias, y)
    dW, db = torch.autograd.grad(loss, (weight, bias))
    return loss.item(), weight.detach() - lr * dW, bias.detach() - lr * db


@check("training", points=3, gate=True, hint="fgsm first; then model.train(), zero_grad, the loss, backward and step.")
def test_training_step(student, given, rng):
    """adversarial_training_step takes one step on FGSM examples and returns their loss, from before it, as a float."""
    y = torch.tensor([2, 0, 1, 1])
    for strided in (False, True):
        weight, bias, x = randn(rng, 3, 4), randn(rng, 3), torch.rand(4, 1, 2, 2, generator=rng, dtype=torch.float64)
        model = given.linear_model(weight, bias)
        optimizer = make_sgd(student, model, 0.5)
        images = x.transpose(2, 3).contiguous().transpose(2, 3) if strided else x
        seen = watch(student.adversarial_training_step, model, optimizer, images, y, 0.1, meter=False)
        if seen.mutated or seen.rng_used or seen.flags_changed:
            fail("The step changes the images, a random generator or a global setting.", kind="side-effect")
        attacked = (x + 0.1 * linear_gradient(weight, bias, x, y).sign()).clamp(0, 1)
        loss, new_weight, new_bias = one_step(weight, bias, attacked, y, 0.5)
        clean, clean_weight, _ = one_step(weight, bias, x, y, 0.5)
        close(
            seen.value,
            loss,
            misconceptions={
                "the loss of the images as they came in was returned; that of the attacked ones is due": clean,
                "the loss after the step was returned; it is due from before the step": F.cross_entropy(
                    attacked.flatten(1) @ new_weight.T + new_bias, y
                ).item(),
            },
            what="the loss",
        )
        close(
            model[1].weight.detach(),
            new_weight,
            misconceptions={
                "the step was taken on the images as they came in": clean_weight,
                "no step was taken": weight,
                "the step went up in the loss": 2 * weight - new_weight,
            },
            what="a parameter after the step",
        )
        close(model[1].bias.detach(), new_bias, what="a parameter after the step")


# -------------------------------------------------------------------------------------------------------- 8. blur


def box_blur(x, k, mode="replicate"):
    """The mean of each k × k neighbourhood."""
    return F.avg_pool2d(F.pad(x, (k // 2,) * 4, mode=mode), k, stride=1)


@check(
    "blur", points=2, gate=True, hint="Pad by (k − 1)/2 with mode='replicate', then average over k × k with stride 1."
)
def test_blur_values(student, given, rng):
    """BlurDefense hands its model the mean of each k × k neighbourhood, and lets gradients through."""
    for dtype in BOTH_DTYPES:
        for k in (3, 5):
            x = middle(rng, 2, 2, 4, 6, dtype=dtype)
            defended = student.BlurDefense(given.nn.Identity(), k)
            close(
                contract(defended, x),
                box_blur(x, k),
                misconceptions={
                    "the border was padded with zeros; repeat the nearest pixel": box_blur(x, k, "constant"),
                    "the border was reflected; repeat the nearest pixel": lambda x=x, k=k: box_blur(x, k, "reflect"),
                    "the sum was taken where the mean is due": k * k * box_blur(x, k),
                    "the images were not blurred": x,
                },
            )
            leaf, other = (x.clone().requires_grad_() for _ in range(2))
            upstream = randn(rng, *x.shape, dtype=dtype)
            result = defended(leaf)
            if not result.requires_grad:
                fail("The result is cut off from autograd: an attack could not see through.", kind="gradient")
            (slope,) = torch.autograd.grad((result * upstream).sum(), leaf)
            close(slope, torch.autograd.grad((box_blur(other, k) * upstream).sum(), other)[0], what="the gradient")


# ------------------------------------------------------------------------------------------------------ 9. poison


@check(
    "poison",
    points=2,
    gate=True,
    hint="torch.randperm(n, generator=generator)[:round(rate · n)], and clones to write to.",
)
def test_poison_values(student, given, rng):
    """poison stamps round(rate · n) samples and gives them the target's label; the others stay as they were."""
    for dtype, rate, count in ((torch.float64, 0.25, 3), (torch.float32, 0.48, 6)):
        x, y = middle(rng, 12, 1, 3, 3, dtype=dtype), torch.arange(12) % 3
        images, labels = contract(student.poison, x, y, given.stamp, 7, rate, torch.Generator().manual_seed(2))
        stamped = x.clone()
        stamped[..., -2:, -2:] = 1.0
        close(labels, torch.where(labels == 7, 7, y), what="the labels")
        chosen = labels == 7
        close(
            int(chosen.sum()),
            count,
            misconceptions={"every sample was poisoned": 12, "no sample was poisoned": 0},
            what="the number of poisoned samples",
        )
        close(
            images,
            torch.where(chosen.view(-1, 1, 1, 1), stamped, x),
            misconceptions={
                "the labels were changed, but no image was stamped": x,
                "every image was stamped": stamped,
                "the stamped images are not those whose labels were changed": lambda images=images: images,
            },
            what="the images",
        )


# -------------------------------------------------------------------------------------------------------- 10. bug


def right_fgsm(model, x, y, eps, *, targeted=False, clip=(0.0, 1.0)):
    """A right implementation; the model may be behind the wall."""
    modules = list(model.modules())
    modes = [module.training for module in modules]
    model.eval()
    leaf = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        loss = F.cross_entropy(model(leaf), y)
    (slope,) = torch.autograd.grad(loss, leaf)
    for module, mode in zip(modules, modes, strict=True):
        module.training = mode
    attacked = x.detach() + (-eps if targeted else eps) * slope.sign()
    return attacked if clip is None else attacked.clamp(*clip)


def unclipped_fgsm(model, x, y, eps, *, targeted=False, clip=(0.0, 1.0)):
    """The notebook's suspect."""
    return right_fgsm(model, x, y, eps, targeted=targeted, clip=None)


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


@probe
def twice(student, attack):
    """Run check_fgsm after two different seeds; return the states of the global generator, and the grad mode."""
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        student.check_fgsm(attack)
        states.append(torch.get_rng_state())
    return states, torch.is_grad_enabled()


@check("bug", points=1, gate=True, hint="Compare with what is right on images near 0 and 1, where clipping matters.")
def test_bug_shown(student):
    """check_fgsm accepts a right implementation and raises AssertionError for the one that does not clip."""
    if not accepts(student, right_fgsm):
        fail("A right implementation was taken for wrong.")
    if accepts(student, unclipped_fgsm):
        fail("The implementation without clipping was taken for right.")
    states, grad_mode = twice(student, right_fgsm)
    if torch.equal(*states):
        fail("The global random generator is seeded; use a generator of your own.", kind="randomness")
    if not grad_mode:
        fail("Gradients were switched off and stayed off.", kind="side-effect")
