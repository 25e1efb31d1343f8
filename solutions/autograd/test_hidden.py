"""Hidden checks of autograd: 70 of the 100 points.

The gates are in test_public.py. Values and gradients are compared in float64, with PyTorch's autograd, which runs on
this side only. Graphs of ``Var`` are built in probes, from a program that both sides run.
"""

import operator

import pytest
import torch

from grader.checks import check, close, contract, fail, probe, race, spy, watch

F64 = torch.float64
INF = torch.inf


def randn(rng, *shape):
    """Standard normal float64 numbers."""
    return torch.randn(shape, generator=rng, dtype=F64)


def rand(rng, *shape):
    """Float64 numbers between 0.5 and 1.5."""
    return 0.5 + torch.rand(shape, generator=rng, dtype=F64)


def attached(output):
    """End the check with a sentence for the student where autograd cannot go back."""
    if not isinstance(output, torch.Tensor) or not output.requires_grad:
        fail("The result is cut off from autograd: no gradient flows back to the input.", kind="gradient")


def differentiable(fn, *inputs):
    """Compare gradients, and gradients of gradients, with finite differences (along a direction: the fast mode)."""
    if not torch.autograd.gradcheck(fn, inputs, raise_exception=False, fast_mode=True):
        fail("The gradient is not the derivative of the result.", kind="gradient")
    if not torch.autograd.gradgradcheck(fn, inputs, raise_exception=False, fast_mode=True):
        fail("The gradient of the gradient is not the second derivative of the result.", kind="gradient")


def without_graph(value):
    """End the check if the result is attached to a graph."""
    if value.requires_grad:
        fail("The result still carries a graph.", kind="gradient")


# ------------------------------------------------------------------------------------------- 1. numerical_grad


@check(
    "numerical_grad",
    points=2,
    hint="Step to both sides, by eps as it was given, and divide by the distance of the two points.",
)
def test_numerical_grad_central(student):
    """numerical_grad takes central differences with the step eps: nearly exact for x³ even with a step of 0.001."""
    x = torch.tensor([10.0, -7.0], dtype=F64)
    for eps in (1e-3, 0.5):
        close(
            student.numerical_grad(lambda x: (x**3).sum(), x, eps=eps),
            3 * x**2 + eps**2,
            rtol=1e-8,
            atol=1e-8,
            misconceptions={
                "a step was taken to one side only: f(x + ε) − f(x)": 3 * x**2 + 3 * x * eps + eps**2,
                "a step was taken to one side only: f(x) − f(x − ε)": 3 * x**2 - 3 * x * eps + eps**2,
                "the argument eps was ignored": 3 * x**2,
            },
        )
    # With the default step the error is near 1e-8 here; with 1e-3 it would be 1e-6, with 1e-9 about 1e-5.
    close(student.numerical_grad(lambda x: (x**3).sum(), x), 3 * x**2, rtol=0, atol=5e-7)
    # At 0 nothing is rounded away: (ε³ + ε³) / 2ε = ε².
    at_zero = student.numerical_grad(lambda x: (x**3).sum(), torch.zeros(2, dtype=F64))
    close(
        at_zero, torch.full((2,), 1e-12, dtype=F64), rtol=1e-3, atol=0, what="x³ at 0 with the default step, 1e-6: it"
    )


@check(
    "numerical_grad",
    points=2,
    hint="Write into a copy: x.t() and x.expand(...) share memory with others. view(-1) fails where reshape(-1) copies.",
)
def test_numerical_grad_shapes(student, rng):
    """numerical_grad works for any shape and for views, and keeps the entries in their places."""
    a = randn(rng, 3, 2)
    weights = randn(rng, 3, 2)
    cases = (
        (lambda x: (x * weights).sum() * x[0].sum(), a, "a matrix"),
        (lambda x: (x * weights.t()).sum() ** 2, a.t(), "a transposed matrix"),
        (lambda x: (x * weights).exp().sum(), a[0].expand(3, 2), "an expanded row"),
        (lambda x: x.sin(), randn(rng), "a scalar"),
        (lambda x: x.square().sum() * x[0, 0, 1], randn(rng, 2, 1, 2), "three dimensions"),
        (lambda x: x[1] * x[0], randn(rng, 6)[::3], "every third entry"),
    )
    for f, x, what in cases:
        leaf = x.detach().clone().requires_grad_()
        (exact,) = torch.autograd.grad(f(leaf), leaf)
        before = x.clone()
        close(contract(student.numerical_grad, f, x), exact, what=f"the gradient for {what}")
        if not torch.equal(x, before):
            fail("The argument x has been changed.", kind="mutation")


@check("numerical_grad", points=1, hint="Convert x to float64 first, and only then add the step.")
def test_numerical_grad_precision(student, rng):
    """numerical_grad works in float64 when x is float32."""
    x = randn(rng, 3).float()
    seen = []

    def f(x):
        seen.append(x.dtype)
        return x.double().sin().sum()

    close(contract(student.numerical_grad, f, x), x.double().cos())
    if set(seen) != {F64}:
        fail("f was called with a tensor that is not float64.", kind="dtype")


@check("numerical_grad", points=1, hint="Two calls of f for each entry, and plain numbers from what it returns.")
def test_numerical_grad_alone(student, rng):
    """numerical_grad calls f at most twice for each entry, leaves others' gradients alone and returns no graph."""
    x, factor = randn(rng, 2, 3), randn(rng, 2, 3)
    for track in (False, True):
        factor = factor.detach().requires_grad_(track)
        f = spy(lambda x, factor=factor: (x * factor).sin().sum())
        result = student.numerical_grad(f, x.clone().requires_grad_(track))
        close(result, (x * factor).cos().detach() * factor.detach())
        without_graph(result)
        if factor.grad is not None:
            fail("The .grad of a tensor that f uses was touched.", kind="mutation")
        if f.calls > 2 * x.numel():
            fail("f was called more than twice for each entry.", kind="cost")
    with torch.no_grad():
        close(student.numerical_grad(lambda x: x.exp().sum(), x), x.exp())


# ------------------------------------------------------------------------------------------------- 2. sigmoid


@check("sigmoid", points=1, hint="Every operation entry by entry: no loop, no len(x), no index that needs a dimension.")
def test_sigmoid_shapes(student, rng):
    """SigmoidFn takes tensors of any shape, and any gradient that comes in."""
    for shape in ((), (4,), (2, 1, 3)):
        x, upstream = randn(rng, *shape).requires_grad_(), randn(rng, *shape)
        y = torch.sigmoid(x.detach())
        result = student.SigmoidFn.apply(x)
        attached(result)
        (gradient,) = torch.autograd.grad(result, x, upstream)
        close(gradient, upstream * y * (1 - y), what="the gradient")


@check(
    "sigmoid", points=2, hint="exp(1000) is infinite, and ∞/∞ is nan. Use exp only of numbers that are not positive."
)
def test_sigmoid_extremes(student):
    """SigmoidFn and its gradient are finite and right for ±1000, for ±∞ and around the limits of the dtype."""
    numbers = [1000.0, -1000.0, INF, -INF, 0.0, -0.0, 40.0, -40.0, 89.0, -89.0, 710.0, -710.0, 1e38, -1e38, 5.0, -5.0]
    for dtype in (F64, torch.float32):
        for rows in (numbers, numbers[:2], numbers[1::2]):
            x = torch.tensor(rows, dtype=dtype, requires_grad=True)
            due = torch.sigmoid(x.detach())
            y = student.SigmoidFn.apply(x)
            close(y, due)
            attached(y)
            (gradient,) = torch.autograd.grad(y.sum(), x)
            close(gradient, due * (1 - due), what="the gradient")


@check("sigmoid", points=2, hint="backward must be made of differentiable operations on saved tensors and grad_output.")
def test_sigmoid_second_order(student, rng):
    """SigmoidFn can be differentiated twice, for any shape and any gradient that comes in."""
    for shape in ((3,), (2, 2)):
        differentiable(student.SigmoidFn.apply, (2 * randn(rng, *shape)).requires_grad_())


@probe
def what_is_saved(student, x):
    """The output, the tensors that autograd keeps for backward, and the number of tensors kept elsewhere in ctx."""
    y = student.SigmoidFn.apply(x.requires_grad_())
    kept = [value for value in vars(y.grad_fn).values() if isinstance(value, torch.Tensor)]
    return y.detach(), [tensor.detach() for tensor in y.grad_fn.saved_tensors], len(kept)


@check("sigmoid", points=2, hint="ctx.save_for_backward(y), once: the derivative is y (1 − y), x is not needed.")
def test_sigmoid_saved(student, rng):
    """SigmoidFn saves its output for backward, by save_for_backward, and nothing else."""
    y, saved, kept = what_is_saved(student, randn(rng, 5))
    if kept:
        fail("A tensor is kept as an attribute of ctx; save_for_backward is the place for it.", kind="memory")
    if len(saved) != 1:
        fail(f"{len(saved)} tensors are saved for backward where 1 is due.", kind="memory")
    close(saved[0], y, what="the saved tensor")


# -------------------------------------------------------------------------------------------------- 3. linear


@check("linear", points=3, hint="Flatten all dimensions but the last into rows: dw = rowsᵀ x, db = rows.sum(0).")
def test_linear_batches(student, rng):
    """LinearFn takes x with one to four dimensions; w and b collect the gradients of all rows."""
    for shape in ((3,), (1, 3), (4, 3), (2, 4, 3), (2, 1, 3, 3)):
        x, w, b = randn(rng, *shape).requires_grad_(), randn(rng, 2, 3).requires_grad_(), randn(rng, 2).requires_grad_()
        upstream = randn(rng, *shape[:-1], 2)
        for bias in (b, None):
            inputs = (x, w, b) if bias is b else (x, w)
            due = torch.nn.functional.linear(x, w, bias)
            result = student.LinearFn.apply(x, w, bias)
            close(result, due.detach())
            attached(result)
            exact = torch.autograd.grad(due, inputs, upstream)
            gradients = torch.autograd.grad(result, inputs, upstream, allow_unused=True)
            for name, got, value in zip("xwb", gradients, exact, strict=False):
                close(got, value, what=f"the gradient of {name} for x with {len(shape)} dimensions")
    contract(student.LinearFn.apply, randn(rng, 2, 2, 3), randn(rng, 3, 2).t(), None)


@probe
def ops_of_backward(student, x, w, b, needed):
    """The operators of one backward, and its gradients."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Counting(TorchDispatchMode):
        names = ()

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.names += (func._schema.name,)
            return func(*args, **(kwargs or {}))

    inputs = [tensor.requires_grad_(wanted) for tensor, wanted in zip((x, w, b), needed)]
    y = student.LinearFn.apply(*inputs)
    with Counting() as counting:
        gradients = torch.autograd.grad(y, [each for each in inputs if each.requires_grad], torch.ones_like(y))
    return list(counting.names), list(gradients)


PRODUCTS = {f"aten::{name}" for name in ("mm", "bmm", "addmm", "baddbmm", "mv", "addmv", "dot", "linear", "matmul")}


@check("linear", points=3, hint="if ctx.needs_input_grad[0]: … , and None for a gradient that nobody asked for.")
def test_linear_needed(student, reference, rng):
    """LinearFn computes only what is needed: one matrix product for x or w alone, none for b alone, so it is quick."""
    for shape in ((5, 3), (2, 3, 3)):
        x, w, b = randn(rng, *shape), randn(rng, 2, 3), randn(rng, 2)
        ones = torch.ones(*shape[:-1], 2, dtype=F64)
        exact = (ones @ w, ones.flatten(0, -2).T @ x.flatten(0, -2), ones.flatten(0, -2).sum(0))
        for needed, most in (
            ((True, False, False), 1),
            ((False, True, False), 1),
            ((False, False, True), 0),
            ((True, True, True), 2),
            ((False, True, True), 1),
        ):
            names, gradients = ops_of_backward(student, x, w, b, list(needed))
            due = [value for value, wanted in zip(exact, needed, strict=True) if wanted]
            close(gradients, due, what="the list of gradients")
            if sum(name in PRODUCTS for name in names) > most:
                fail("The backward computes a matrix product for a gradient that is not needed.", kind="cost")
    race(back_to_b(student), back_to_b(reference), lambda: wide_layer(rng), at_most=6)


@probe
def back_to_b(student):
    """A function that goes back to b alone, for many gradients that come in."""

    def gradients(x, w, b, upstreams):
        with torch.enable_grad():
            b = b.requires_grad_()
            y = student.LinearFn.apply(x, w, b)
            return torch.stack([torch.autograd.grad(y, b, each, retain_graph=True)[0] for each in upstreams])

    return gradients


def wide_layer(rng):
    """A layer whose matrix products take far longer than the sum over its rows, and gradients that come in."""
    rows = int(torch.randint(230, 256, (), generator=rng))
    return randn(rng, rows, 1024), randn(rng, 32, 1024), randn(rng, 32), randn(rng, 20, rows, 32)


@check("linear", points=2, hint="Use operations that autograd knows in backward, on what ctx.saved_tensors gives.")
def test_linear_second_order(student, rng):
    """LinearFn can be differentiated twice, with and without a bias, for matrices and for more dimensions."""
    x, w, b = (randn(rng, *shape).requires_grad_() for shape in ((2, 2, 3), (2, 3), (2,)))
    differentiable(student.LinearFn.apply, x, w, b)
    differentiable(lambda x, w: student.LinearFn.apply(x, w, None), x[0].detach().requires_grad_(), w)


# ----------------------------------------------------------------------------------------------------- 4. Var


@probe
def run(student, cases):
    """Build graphs and go back through them.

    A case is (inputs, which are leaves, program, upstream). Inputs that are no leaves (None) stay as they are; False
    makes a constant. A step of the program is (operation, positions of its operands, options).
    """
    import operator

    found = []
    for inputs, leaves, program, upstream in cases:
        values = [
            value if leaf is None else student.Var(value, requires_grad=leaf)
            for value, leaf in zip(inputs, leaves, strict=True)
        ]
        for name, positions, options in program:
            operands = [values[position] for position in positions]
            if hasattr(operator, name):
                values.append(getattr(operator, name)(*operands))
            elif name == "power":
                values.append(operands[0] ** options["p"])
            else:
                values.append(getattr(operands[0], name)(**options))
        values[-1].backward(upstream)
        found.append([values[-1].data, [value.grad for value, leaf in zip(values, leaves) if leaf]])
    return found


def by_torch(case):
    """The same with PyTorch: the result, and the gradients of the leaves."""
    inputs, leaves, program, upstream = case
    values = [value.clone().requires_grad_() if leaf else value for value, leaf in zip(inputs, leaves, strict=True)]
    for name, positions, options in program:
        operands = [values[position] for position in positions]
        if hasattr(operator, name):
            values.append(getattr(operator, name)(*operands))
        elif name == "power":
            values.append(operands[0] ** options["p"])
        else:
            values.append(getattr(operands[0], name)(**options))
    tracked = [value for value, leaf in zip(values, leaves, strict=False) if leaf]
    gradients = torch.autograd.grad(values[-1], tracked, upstream, allow_unused=True)
    return [values[-1].detach(), list(gradients)]


def same_as_torch(student, cases, names, misconceptions=None, **tolerance):
    """End the check unless all values and gradients are PyTorch's. ``misconceptions``: of a case's index."""
    for index, (got, case, name) in enumerate(zip(run(student, cases), cases, names, strict=True)):
        value, gradients = by_torch(case)
        close(got[0], value, what=f"the value of {name}", **tolerance)
        if not isinstance(got[1], list) or len(got[1]) != len(gradients):
            fail("A gradient is missing.", kind="shape")
        for position, (one, other) in enumerate(zip(got[1], gradients, strict=True)):
            close(
                one,
                other,
                what=f"a gradient of {name}",
                misconceptions=misconceptions(index, position, case) if misconceptions else None,
                **tolerance,
            )


def binary(name, one, other, leaves, upstream):
    """A case with one binary operation."""
    return [one, other], leaves, [(name, [0, 1], {})], upstream


@check("var", points=3, hint="The table in the notebook says what each operation does to the gradient that comes in.")
def test_var_gradients(student, rng):
    """The gradient of every operation is right, whatever gradient comes in."""
    cases, names = [], []
    for dtype in (F64, torch.float32):
        a, b, upstream = rand(rng, 3, 3).to(dtype), rand(rng, 3, 3).to(dtype), randn(rng, 3, 3).to(dtype)
        for sign in ("add", "sub", "mul", "truediv", "matmul"):
            cases.append(binary(sign, a, b, [True, True], upstream))
            names.append({"add": "a + b", "sub": "a - b", "mul": "a * b", "truediv": "a / b", "matmul": "a @ b"}[sign])
        for name, step in {
            "-a": ("neg", [0], {}),
            "a.exp()": ("exp", [0], {}),
            "a.log()": ("log", [0], {}),
            **{f"a ** {p}": ("power", [0], {"p": p}) for p in (2, 3, 1, -1, -2, 0.5, 1.5)},
        }.items():
            cases.append(([a], [True], [step], upstream))
            names.append(name)
        cases.append(([upstream], [True], [("relu", [0], {})], b))
        names.append("a.relu()")
        cases.append(([-a], [True], [("power", [0], {"p": 3})], upstream))
        names.append("a ** 3 for negative numbers")

    def ignored(index, position, case):
        inputs, leaves, program, upstream = case
        return {
            "the gradient that comes in was ignored": (
                lambda: by_torch((inputs, leaves, program, torch.ones_like(upstream)))[1][position]
            )
        }

    same_as_torch(student, cases, names, ignored)


@check("var", points=2, hint="For 1 − a the gradient is −g, for 1 / a it is −g / a². A plain tensor is a constant.")
def test_var_sides(student, rng):
    """Gradients are right with a tensor or a number on either side, and numbers keep their full precision."""
    a, t, upstream = rand(rng, 3, 3), rand(rng, 3, 3), randn(rng, 3, 3)
    cases, names = [], []
    for other, kind in ((t, "tensor"), (0.1, "number"), (3, "whole number")):
        for sign in ("add", "sub", "mul", "truediv", "matmul"):
            if sign == "matmul" and kind != "tensor":
                continue
            cases.append(binary(sign, a, other, [True, None], upstream))
            names.append(f"{sign}(a, {kind})")
            cases.append(binary(sign, other, a, [None, True], upstream))
            names.append(f"{sign}({kind}, a)")
    same_as_torch(student, cases, names, rtol=1e-12, atol=1e-12)
    a32 = a.float()
    same_as_torch(student, [binary("mul", 0.1, a32, [None, True], upstream.float())], ["number * a in float32"])


PAIRS = (
    ((3, 4), (4,)),
    ((4,), (3, 4)),
    ((3, 1), (1, 4)),
    ((2, 3, 4), (3, 1)),
    ((3, 4), ()),
    ((), (2, 3)),
    ((2, 1, 4), (2, 3, 1)),
    ((1,), (1, 1)),
    ((1, 1), ()),
    ((3, 1), (3, 1)),
)


@check(
    "var",
    points=2,
    hint="Sum over dimensions in front that the operand does not have, and, keeping them, over those where its size is 1.",
)
def test_var_broadcast_pairs(student, rng):
    """Gradients get back to the shape of their operand, for every way of broadcasting two shapes."""
    cases, names = [], []
    for one, other in PAIRS:
        shape = torch.broadcast_shapes(one, other)
        for sign in ("add", "sub", "mul", "truediv"):
            cases.append(binary(sign, rand(rng, *one), rand(rng, *other), [True, True], randn(rng, *shape)))
            names.append(f"{sign} of {one} and {other}")
    table = rand(rng, 3, 4)
    cases.append(binary("mul", rand(rng, 4), table, [True, None], randn(rng, 3, 4)))
    names.append("a row times a tensor (3, 4)")
    cases.append(binary("sub", table, rand(rng, 3, 1), [None, True], randn(rng, 3, 4)))
    names.append("a tensor (3, 4) minus a column")
    same_as_torch(student, cases, names)


@check("var", points=2, hint="g @ b.mT and a.mT @ g, then summed to the operand's shape as for any broadcasting.")
def test_var_matmul(student, rng):
    """a @ b is differentiated for matrices of any shape and for batches of them, which broadcast."""
    cases, names = [], []
    for one, other in (
        ((2, 3), (3, 4)),
        ((1, 3), (3, 1)),
        ((5, 2, 3), (5, 3, 4)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)),
        ((2, 1, 2, 3), (4, 3, 2)),
    ):
        shape = (rand(rng, *one) @ rand(rng, *other)).shape
        cases.append(binary("matmul", randn(rng, *one), randn(rng, *other), [True, True], randn(rng, *shape)))
        names.append(f"the product of {one} and {other}")
        cases.append(binary("matmul", randn(rng, *one), randn(rng, *other), [None, True], randn(rng, *shape)))
        names.append(f"the product of a tensor {one} and {other}")
    cases.append(binary("matmul", randn(rng, 3, 2).t(), randn(rng, 4, 3).t(), [True, True], randn(rng, 4, 2).t()))
    names.append("transposed matrices")
    same_as_torch(student, cases, names)


@check("var", points=2, hint="Put the dimension back that was summed away (unsqueeze, or reshape), then expand.")
def test_var_sum(student, rng):
    """sum works along any dimension, along several and over all, with and without keepdim."""
    cases, names = [], []
    for shape, dims in (((3, 3), (None, 0, 1, -1, -2, (0, 1))), ((2, 3, 4), (1, -1, (0, 2), (-1, 0))), ((), (None,))):
        for dim in dims:
            for keepdim in (False, True):
                a = randn(rng, *shape)
                upstream = randn(rng, *a.sum(dim, keepdim=keepdim).shape)
                step = ("sum", [0], {"dim": dim, "keepdim": keepdim})
                cases.append(([a], [True], [step, ("power", [1], {"p": 2})], upstream))
                names.append(f"sum of {shape} with dim={dim} and keepdim={keepdim}")
    same_as_torch(student, cases, names)


def random_program(rng, length):
    """Steps that use earlier values again and again; the last ones hang on all before them."""
    program = []
    for step in range(length):
        one, other = (int(torch.randint(max(0, step - 6), step + 3, (), generator=rng)) for _ in range(2))
        name = ("add", "sub", "mul", "add", "neg", "relu")[int(torch.randint(6, (), generator=rng))]
        program.append((name, [one] if name in ("neg", "relu") else [one, other], {}))
        if name == "mul":  # by something small: the numbers stay of ordinary size
            program[-1] = ("mul", [one, int(torch.randint(3, (), generator=rng))], {})
    last = length + 2
    return [*program, ("add", [last, 0], {}), ("mul", [last + 1, 1], {}), ("add", [last + 2, 2], {})]


@check(
    "var",
    points=2,
    hint="A Var may pass its gradient on only when all Vars that use it have passed theirs: topological order.",
)
def test_var_reuse(student, rng):
    """Gradients add up over all uses of a Var, in graphs of any form."""
    a, b = randn(rng, 3), rand(rng, 3)
    ones = torch.ones(3, dtype=F64)
    square = ([a], [True], [("mul", [0, 0], {})], ones)
    diamond = ([a], [True], [("mul", [0, 0], {}), ("exp", [1], {}), ("add", [1, 2], {}), ("mul", [3, 2], {})], ones)
    short_cut = (
        [a, b],
        [True, True],
        [("mul", [0, 1], {}), ("neg", [2], {}), ("mul", [3, 0], {}), ("add", [4, 2], {}), ("add", [5, 0], {})],
        ones,
    )
    late = ([b], [True], [("log", [0], {}), ("exp", [1], {}), ("mul", [2, 1], {}), ("add", [3, 0], {})], ones)

    def partial(index, position, case):
        two = by_torch(square)[1][0]
        return (
            {"the second use of a Var overwrote the gradient of the first; they add up": two / 2} if not index else {}
        )

    names = ["a · a", "a diamond", "a long way and a short cut", "log, exp and a short cut"]
    same_as_torch(student, [square, diamond, short_cut, late], names, partial)
    leaves = [0.8 * randn(rng, 4) for _ in range(3)]
    programs = [random_program(rng, 14) for _ in range(8)]
    cases = [(leaves, [True] * 3, program, randn(rng, 4)) for program in programs]
    same_as_torch(student, cases, ["a random graph"] * len(cases))


@probe
def two_losses(student, x):
    """Gradients of a leaf after one loss and after another."""
    a = student.Var(x, requires_grad=True)
    (a * a).sum().backward()
    first = a.grad.clone()
    (3 * a).sum().backward()
    second = a.grad.clone()
    a.grad = None
    a.sum().backward()
    b = student.Var(x[:1], requires_grad=True)
    b.backward()
    b.backward()
    return first, second, a.grad, b.grad


@check("var", points=1, hint="A second backward adds to .grad. Only whoever sets .grad to None starts anew.")
def test_var_accumulation(student, rng):
    """A leaf adds up the gradients of one loss after another, until its .grad is set to None."""
    x = randn(rng, 4)
    first, second, fresh, leaf = two_losses(student, x)
    close(first, 2 * x, what="the gradient of the first loss")
    close(
        second,
        2 * x + 3,
        what="the gradient after two losses",
        misconceptions={"the second backward overwrote the gradient of the first; they add up": torch.full_like(x, 3)},
    )
    close(fresh, torch.ones_like(x), what="the gradient after .grad was set to None")
    close(leaf, torch.full((1,), 2.0, dtype=F64), what="the gradient of a leaf that is itself the loss, twice")


@check(
    "var",
    points=2,
    hint="backward frees every Var that it goes through, not only the one it starts from, unless retain_graph is True.",
)
def test_var_retain(student, rng):
    """retain_graph keeps the graph for one more backward; a freed graph, or a part of one, raises RuntimeError."""
    x = randn(rng, 3)
    a = student.Var(x, requires_grad=True)
    y = (a * a).sum()
    once = 2 * x
    y.backward(retain_graph=True)
    close(a.grad, once, what="the gradient")
    y.backward()
    close(
        a.grad,
        2 * once,
        what="the gradient after two times",
        misconceptions={
            "what was left in intermediate Vars by the first backward was passed on again": 3 * once,
            "the second backward overwrote the gradient of the first; they add up": once,
        },
    )
    with pytest.raises(RuntimeError):
        y.backward()
    close(a.grad, 2 * once, what="the gradient after a backward that failed")

    shared = a * 2
    one, other = shared.sum(), (shared * shared).sum()
    one.backward(retain_graph=True)
    other.backward()
    close(a.grad, 2 * once + 2 + 8 * x, what="the gradient of two losses that share a part")
    with pytest.raises(RuntimeError):
        one.backward()
    shared = a * 2
    one, other = shared.sum(), (shared * 3).sum()
    one.backward()
    with pytest.raises(RuntimeError):
        other.backward()
    (a * 5).sum().backward()
    close(a.grad, 2 * once + 2 + 8 * x + 2 + 5, what="the gradient of a new graph of the same leaf")


@check(
    "var",
    points=1,
    hint="Three things to look at before anything else: requires_grad, grad, and the number of entries.",
)
def test_var_errors(student, rng):
    """backward raises RuntimeError for a constant, and for several entries without a gradient to start from."""
    x = randn(rng, 2)
    a, constant = student.Var(x, requires_grad=True), student.Var(x)
    for bad in (a * 2, a, constant, constant.sum(), (constant * 2 + x).sum(), a.detach().sum()):
        with pytest.raises(RuntimeError):
            bad.backward()
    with pytest.raises(RuntimeError):
        (constant * 2).backward(x)
    if a.grad is not None:
        fail("A backward that fails must not leave a gradient behind.", kind="side-effect")
    one = student.Var(x[:1].reshape(1, 1), requires_grad=True)
    (one * 3).backward()
    close(one.grad, torch.full((1, 1), 3.0, dtype=F64), what="the gradient of a (1, 1)")


@probe
def write_into_gradients(student, x, g):
    """Write into gradients in place and return what has changed elsewhere."""
    a, b = student.Var(x, requires_grad=True), student.Var(x + 1, requires_grad=True)
    (a + b).backward(g)
    a.grad.mul_(0)
    kept = b.grad.clone()
    c, d = student.Var(x, requires_grad=True), student.Var(x, requires_grad=True)
    c.backward(g)
    c.backward(g)
    (c.sum() + d.sum()).backward()
    c.grad[0] = 7
    return kept, c.grad, d.grad, g, x, a.data


@check("var", points=1, hint="The first gradient of a leaf must be a copy: clone it. Never += on what you were handed.")
def test_var_own_memory(student, rng):
    """Each .grad is a tensor of its own: writing into one changes no other, nor the gradient that was handed in."""
    x, g = randn(rng, 3), randn(rng, 3)
    kept, of_c, of_d, given, values, data = write_into_gradients(student, x, g)
    close(kept, g, what="the gradient of b, after writing into that of a")
    close(given, g, what="the gradient that was handed in")
    due = 2 * g + 1
    due[0] = 7
    close(of_c, due, what="a gradient after writing into its first entry")
    close(of_d, torch.ones(3, dtype=F64), what="the gradient of d, after writing into that of c")
    close([values, data], [x, x], what="the list of data")


@probe
def constants(student, x):
    """A graph with constants, a detached part and a part that needs no gradient."""
    a, c = student.Var(x, requires_grad=True), student.Var(x)
    middle, idle = a * c, c * c + x
    cut = (a * 3).detach()
    loss = (middle + idle * a + cut * a).sum()
    loss.backward()
    flags = [v.requires_grad for v in (a, c, middle, idle, cut, loss, cut * c, cut + a, -a, c.exp(), a.sum())]
    return a.grad, [v.grad for v in (c, middle, idle, cut, loss)], flags, cut.data


@check(
    "var", points=1, hint="A result requires grad if one of its operands does; only leaves that require grad get one."
)
def test_var_constants(student, rng):
    """Constants, detached Vars and intermediate results get no .grad, and requires_grad says where gradients flow."""
    x = randn(rng, 3)
    of_a, others, flags, cut = constants(student, x)
    if any(each is not None for each in others):
        fail("Something that is not a leaf with requires_grad has a .grad.", kind="gradient")
    expected = [True, False, True, False, False, True, False, True, True, False, True]
    if flags != expected:
        fail("requires_grad of a result is not what its operands say.", kind="gradient")
    close(
        of_a,
        x + x * x + x + 3 * x,
        what="the gradient",
        misconceptions={"a gradient flowed back through detach()": x + x * x + x + 6 * x},
    )
    close(cut, 3 * x, what="the data of a detached Var")


@check("var", points=1, hint="ReLU'(0) = 0 by convention: the gradient passes where the input is greater than 0.")
def test_var_relu_at_zero(student):
    """The gradient of relu is 0 at 0, and below; that of a whole power at 0 is finite."""
    x = torch.tensor([-2.0, -0.0, 0.0, 1e-300, 3.0], dtype=F64)
    upstream = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0], dtype=F64)
    cases = [([x], [True], [("relu", [0], {})], upstream)]
    cases += [([x], [True], [("power", [0], {"p": p})], upstream) for p in (1, 2, 3)]
    same_as_torch(student, cases, ["a.relu()", "a", "a ** 2", "a ** 3"])


@probe
def look_inside(student, x, y, z):
    """Operands and their data after every operation and a backward."""
    a, b, c = (student.Var(tensor, requires_grad=True) for tensor in (x, y, z))
    results = [
        a + b, a - b, a * b, a / b, a @ b, -a, a**2, a.exp(), a.log(), c.relu(), a.sum(), a.sum(0), a.detach(),
        1 + a, 1 - a, 2 * a, 2 / a, y + a, a - y, a * y, a / y, y @ a,
    ]  # fmt: skip
    tracked = [v.data.requires_grad for v in (a, b, c, *results)]
    for v in results:
        if v.requires_grad:
            v.backward(torch.ones_like(v.data))
    tracked += [a.grad.requires_grad, b.grad.requires_grad]
    return [a.data, b.data, c.data, x, y, z], tracked


@check("var", points=1, hint="No trailing underscore and no += on data: every operation makes a new tensor.")
def test_var_plain_tensors(student, rng):
    """No operation changes the data of its operands, and no tensor inside a Var requires grad."""
    x, y, z = rand(rng, 3, 3), rand(rng, 3, 3), randn(rng, 3, 3)
    values, tracked = look_inside(student, x, y, z)
    close(values, [x, y, z, x, y, z], what="the list of operands")
    if any(tracked):
        fail("A tensor inside a Var requires grad.", kind="gradient")


@probe
def long_chain(student, x, length):
    """The gradient through a chain of many operations."""
    leaf = student.Var(x, requires_grad=True)
    y = leaf
    for _ in range(length):
        y = y.relu()
    y.backward()
    return leaf.grad


@check("var", points=1, hint="Recursion ends after about a thousand calls. Keep a list of what is still to be visited.")
def test_var_deep(student):
    """backward goes through a chain of 20 000 operations."""
    one = torch.ones(1, dtype=F64)
    close(long_chain(student, one, 20_000), one, what="the gradient")


@probe
def doublings(student, x, times):
    """The gradient through x = x + x, many times."""
    leaf = student.Var(x, requires_grad=True)
    y = leaf
    for _ in range(times):
        y = y + y
    y.backward()
    return leaf.grad


@probe
def cost_of_a_chain(student, x, length):
    """The number of operators in a backward through a chain that comes back to its first link."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Counting(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.count += 1
            return func(*args, **(kwargs or {}))

    leaf = student.Var(x, requires_grad=True)
    y = leaf
    for _ in range(length):
        y = y * leaf + leaf
    with Counting() as counting:
        y.backward()
    return counting.count


@check("var", points=1, hint="Visit every Var once, not every path: remember which you have seen.")
def test_var_work(student, reference, rng):
    """backward goes through each operation once: its work is proportional to the graph, its time at most 6 times ours."""
    close(doublings(student, torch.ones(1, dtype=F64), 40), torch.full((1,), 2.0**40, dtype=F64), what="the gradient")
    few, many = (cost_of_a_chain(student, torch.full((1,), 0.5, dtype=F64), length) for length in (50, 200))
    if type(few) is not int or type(many) is not int or many > 4.6 * few:
        fail("The number of PyTorch operations in backward grows faster than the graph.", kind="cost")
    race(there_and_back(student), there_and_back(reference), lambda: (rand(rng, 1) / 2, 150), at_most=6)


@probe
def there_and_back(student):
    """A function that builds a chain that comes back to its first link, and goes back through it."""

    def gradient(x, length):
        leaf = student.Var(x, requires_grad=True)
        y = leaf
        for _ in range(length):
            y = y * leaf + leaf
        y.backward()
        return leaf.grad

    return gradient


# ------------------------------------------------------------------------------------------------ 5. detached


@check("detached", points=1, hint="torch.enable_grad() switches recording on again inside torch.no_grad().")
def test_detached_no_grad(student, rng):
    """detached_product_grad works inside torch.no_grad()."""
    x = randn(rng, 4)
    with torch.no_grad():
        close(contract(student.detached_product_grad, lambda x: x.exp(), x), x.exp())


@check(
    "detached", points=2, hint="torch.autograd.grad touches no .grad; backward() does. Work on a detached copy of x."
)
def test_detached_untouched(student, rng):
    """detached_product_grad leaves every .grad alone, returns no graph and calls f once."""
    x, factor = randn(rng, 3).requires_grad_(), randn(rng, 3).requires_grad_()
    for stale in (None, 7.0):
        if stale is not None:
            x.grad, factor.grad = torch.full_like(x, stale), torch.full_like(factor, stale)
        f = spy(lambda x: (x * factor).sin())
        result = student.detached_product_grad(f, x)
        close(result, (x * factor).sin().detach())
        without_graph(result)
        if f.calls != 1:
            fail("f was not called once.", kind="cost")
        contract(student.detached_product_grad, lambda x: (x * factor).sin(), x)
        for tensor in (x, factor):
            if (tensor.grad is not None) != (stale is not None) or (stale and not (tensor.grad == stale).all()):
                fail("The .grad of x, or of something that f uses, was touched.", kind="mutation")


@check("detached", points=1, hint="A smaller f(x) is copied to the shape of x, and the gradient has the shape of x.")
def test_detached_broadcasting(student, rng):
    """detached_product_grad returns the shape of x when f returns a scalar, a row or a column."""
    x = randn(rng, 3, 2)
    for f in (lambda x: x.square().sum(), lambda x: x.sum(0), lambda x: x.sum(1, keepdim=True), lambda x: x.exp()):
        for point in (x, x.float(), x.t().contiguous().t()):
            close(contract(student.detached_product_grad, f, point), f(point).expand(3, 2).clone())
    close(student.detached_product_grad(lambda x: 2 * x, x[0, 0]), 2 * x[0, 0])


@check("detached", points=1, hint="If f returns x itself, what you return must still be a new tensor.")
def test_detached_identity(student, rng):
    """detached_product_grad returns a tensor of its own, even if f returns its argument."""
    x = randn(rng, 3)
    close(identities(student, x), [x, x], what="the list of gradients")
    if not alone(student, x):
        fail("The result shares memory with x.", kind="alias")


@probe
def identities(student, x):
    """The gradient for functions that return x or a view of it."""
    return [student.detached_product_grad(lambda x: x, x), student.detached_product_grad(lambda x: x.view(3), x)]


@probe
def alone(student, x):
    """Whether a result has memory of its own."""
    results = identity, view = (
        student.detached_product_grad(lambda x: x, x),
        student.detached_product_grad(lambda x: x[:1], x),
    )
    view[0] = 100.0  # an expanded view would change, or refuse
    return all(each.data_ptr() != x.data_ptr() for each in results) and bool((x != 100).all()) and bool(view[1] != 100)


# ---------------------------------------------------------------------------------------------- 6. per_sample


def exact_grads(X, t, w, b):
    """The gradients of all samples by the slow loop."""
    gw, gb = [], []
    for x, target in zip(X.detach(), t.detach(), strict=True):
        leaves = w.detach().clone().requires_grad_(), b.detach().clone().requires_grad_()
        loss = 0.5 * (torch.sigmoid(x @ leaves[0] + leaves[1]) - target) ** 2
        for rows, gradient in zip((gw, gb), torch.autograd.grad(loss, leaves), strict=True):
            rows.append(gradient)
    return torch.stack(gw), torch.stack(gb)


def close_grads(result, expected):
    """Compare gw and gb."""
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        fail("Two tensors are due: (gw, gb).", kind="shape")
    for got, due, what in zip(result, expected, ("gw", "gb"), strict=True):
        close(got, due, what=what)


@check("per_sample", points=2, hint="unsqueeze(1), and squeeze(1) rather than squeeze(): n or d may be 1.")
def test_per_sample_sizes(student, rng):
    """per_sample_grads is right for any number of samples and features, one of each included."""
    for n, d in ((1, 3), (4, 1), (1, 1), (3, 3), (7, 2)):
        X, w, b = 2 * randn(rng, n, d), randn(rng, d), randn(rng)
        t = torch.rand(n, generator=rng, dtype=F64)
        close_grads(contract(student.per_sample_grads, X, t, w, b), exact_grads(X, t, w, b))


@check("per_sample", points=2, hint="σ(1 − σ) from the output of a stable sigmoid; exp of a large number is infinite.")
def test_per_sample_extremes(student, rng):
    """per_sample_grads is finite where the sigmoid has saturated: the gradient is 0 there."""
    X = torch.tensor([[1000.0, 0.0], [-1000.0, 0.0], [0.0, 0.5], [2e4, 2e4], [-2e4, -1.0], [1.0, 1.0]])
    t = torch.tensor([0.0, 1.0, 1.0, 0.5, 0.0, 1.0])
    for dtype in (F64, torch.float32):
        inputs = X.to(dtype), t.to(dtype), torch.ones(2, dtype=dtype), torch.zeros((), dtype=dtype)
        p = torch.sigmoid(inputs[0].sum(1))
        gb = (p - inputs[1]) * p * (1 - p)
        close_grads(student.per_sample_grads(*inputs), (gb[:, None] * inputs[0], gb))


@check("per_sample", points=2, hint="backward() adds to .grad: differentiate detached copies, or use the closed form.")
def test_per_sample_parameters(student, rng):
    """per_sample_grads takes parameters, and neither uses nor changes what is in their .grad."""
    X, t = randn(rng, 4, 2), torch.rand(4, generator=rng, dtype=F64)
    w, b = torch.nn.Parameter(randn(rng, 2)), torch.nn.Parameter(randn(rng))
    expected = exact_grads(X, t, w, b)
    for stale in (None, 100.0):
        if stale is not None:
            w.grad, b.grad = torch.full_like(w, stale), torch.full_like(b, stale)
        close_grads([value.detach() for value in contract(student.per_sample_grads, X, t, w, b)], expected)
    contract(student.per_sample_grads, X.clone().requires_grad_(), t, w.detach(), b)
    if not ((w.grad == 100).all() and (b.grad == 100).all()):
        fail("The .grad of a parameter was changed.", kind="mutation")


@check(
    "per_sample", points=2, hint="All samples at once: (p − t) p (1 − p) has shape (n,), and unsqueeze(1) fits it to X."
)
def test_per_sample_operations(student, reference, rng):
    """per_sample_grads needs no more operations for 64 samples than for 4, and at most 20 times our time."""
    counts = []
    for n in (4, 64):
        X, t = randn(rng, n, 3), torch.rand(n, generator=rng, dtype=F64)
        counts.append(watch(student.per_sample_grads, X, t, randn(rng, 3), randn(rng)).op_count)
    if counts[1] > 1.5 * counts[0] + 5:
        fail("The number of operations grows with the number of samples.", kind="cost")
    race(student.per_sample_grads, reference.per_sample_grads, lambda: samples(rng, 4096), at_most=20)


def samples(rng, n):
    """About n samples of 16 features, their targets, weights and a bias; never the same number twice in a row."""
    n = int(torch.randint(n - n // 16, n, (), generator=rng))
    return randn(rng, n, 16), torch.rand(n, generator=rng, dtype=F64), randn(rng, 16), randn(rng)


# ------------------------------------------------------------------------------------------------- 7. descent


def heavy_ball(gradient, x0, lr, steps, momentum):
    """The trajectory, from a gradient in closed form."""
    x, velocity, path = x0, torch.zeros_like(x0), [x0]
    for _ in range(steps):
        velocity = momentum * velocity + gradient(x)
        x = x - lr * velocity
        path.append(x)
    return torch.stack(path)


@check("descent", points=1, hint="p[..., 0] and p[..., 1] take points in any arrangement.")
def test_himmelblau_shapes(student, rng):
    """himmelblau takes one point or an array of points of any shape; it is 0 at its four minima."""
    for shape in ((2,), (1, 2), (2, 2), (3, 4, 2), (2, 1, 3, 2)):
        p = 2 * randn(rng, *shape)
        x, y = p.unbind(-1)
        close(contract(student.himmelblau, p), (x * x + y - 11) ** 2 + (x + y * y - 7) ** 2)
    close(student.himmelblau(MINIMA), torch.zeros(4, dtype=F64), rtol=0, atol=1e-6)


MINIMA = torch.tensor(
    [
        [3.0, 2.0],
        [-2.805118086952745, 3.131312518250573],
        [-3.779310253377747, -3.283185991286170],
        [3.584428340330492, -1.848126526964404],
    ],
    dtype=F64,
)


@probe
def down_the_valleys(student, starts, lr, steps, momentum):
    """Trajectories on the surface, all in one descent."""
    return student.gradient_descent(lambda p: student.himmelblau(p).sum(), starts, lr, steps, momentum)


@check(
    "descent",
    points=3,
    hint="Compare with a step by hand from (1, 0), where the gradient is (−42, −18)… then follow it.",
)
def test_descent_valleys(student):
    """From four starting points, gradient descent finds the four minima of Himmelblau's function."""
    starts = torch.tensor([[1.0, 0.0], [-1.0, 1.0], [-1.0, -1.0], [4.0, -1.0]], dtype=F64)
    path = down_the_valleys(student, starts, 0.01, 300, 0.0)
    if not isinstance(path, torch.Tensor) or path.shape != (301, 4, 2):
        fail("The trajectory must have shape (steps + 1, *x0.shape).", kind="shape")
    close(path[0], starts, what="the start of the trajectory")
    close(path[-1], MINIMA, rtol=0, atol=1e-4, what="the end of the trajectory")
    path = down_the_valleys(student, starts, 0.003, 200, 0.9)
    if not isinstance(path, torch.Tensor) or path.shape != (201, 4, 2):
        fail("The trajectory must have shape (steps + 1, *x0.shape).", kind="shape")
    close(path[-1], MINIMA, rtol=0, atol=1e-3, what="the end of the trajectory with momentum")


@check("descent", points=3, hint="v = μ v + gradient, then x = x − lr · v, the gradient taken at x. v starts at 0.")
def test_descent_momentum(student, rng):
    """gradient_descent with momentum follows the heavy-ball rule, step by step."""
    curvature = torch.tensor([1.0, 4.0, 9.0], dtype=F64)
    for momentum, lr in ((0.9, 0.05), (0.5, 0.1), (0.0, 0.02)):
        x0 = randn(rng, 3)

        def damped(x0, lr, momentum):
            return heavy_ball(lambda x: (1 - momentum) * curvature * x, x0, lr, 5, momentum)

        def ahead(x0, lr, momentum):
            x, velocity, path = x0, torch.zeros(3, dtype=F64), [x0]
            for _ in range(5):
                velocity = momentum * velocity + curvature * (x - lr * momentum * velocity)
                x = x - lr * velocity
                path.append(x)
            return torch.stack(path)

        close(
            student.gradient_descent(lambda x: (curvature * x**2).sum() / 2, x0, lr, 5, momentum=momentum),
            heavy_ball(lambda x: curvature * x, x0, lr, 5, momentum),
            misconceptions={
                "the gradient was multiplied by 1 − μ": damped(x0, lr, momentum),
                "the gradient was taken ahead of the point, as Nesterov does": ahead(x0, lr, momentum),
                "the momentum was ignored": heavy_ball(lambda x: curvature * x, x0, lr, 5, 0.0),
                "only the gradient of the step before was remembered, not a fading sum": momentum_of_one(
                    curvature, x0, lr, momentum
                ),
            },
        )


def momentum_of_one(curvature, x0, lr, momentum):
    """The trajectory if only the last gradient is remembered."""
    x, last, path = x0, torch.zeros_like(x0), [x0]
    for _ in range(5):
        gradient = curvature * x
        x, last = x - lr * (gradient + momentum * last), gradient
        path.append(x)
    return torch.stack(path)


@check(
    "descent", points=1, hint="Leave the graph of x0 and the .grad of everything alone: autograd.grad on a fresh leaf."
)
def test_descent_untouched(student, rng):
    """gradient_descent works under no_grad, returns no graph, and touches the .grad of nothing that f uses."""
    x0, target = randn(rng, 2), randn(rng, 2).requires_grad_()
    due = heavy_ball(lambda x: 2 * (x - target.detach()), x0, 0.2, 3, 0.5)
    for stale in (None, 3.0):
        if stale is not None:
            target.grad = torch.full_like(target, stale)
        for start in (x0, x0.clone().requires_grad_()):
            result = contract(student.gradient_descent, lambda x: ((x - target) ** 2).sum(), start, 0.2, 3, 0.5)
            close(result, due)
            without_graph(result)
        if (target.grad is not None) != (stale is not None) or (stale and not (target.grad == stale).all()):
            fail("The .grad of something that f uses was touched.", kind="mutation")
    with torch.no_grad():
        close(contract(student.gradient_descent, lambda x: ((x - target) ** 2).sum(), x0, 0.2, 3, 0.5), due)


@check("descent", points=1, hint="Row 0 is x0, for every shape of x0 and also when no step is taken.")
def test_descent_start(student, rng):
    """gradient_descent keeps shape and dtype of x0, also for a scalar, for a matrix and for no steps."""
    for shape in ((), (1,), (2, 3)):
        for dtype in (F64, torch.float32):
            for steps in (0, 2):
                x0 = randn(rng, *shape).to(dtype)
                factors = torch.tensor([1.0, 0.9, 0.81], dtype=dtype)[: steps + 1].reshape(-1, *[1] * len(shape))
                close(student.gradient_descent(lambda x: x.square().sum() / 2, x0, 0.1, steps), factors * x0)
    contract(student.gradient_descent, lambda x: x.square().sum(), randn(rng, 3, 2).t(), 0.1, 0)
    contract(student.gradient_descent, lambda x: x.square().sum(), randn(rng, 3, 2).t(), 0.1, 1)


@check("descent", points=1, hint="One gradient a step, and so one call of f.")
def test_descent_calls(student, rng):
    """gradient_descent calls f once a step, and at most once more."""
    for steps in (1, 6):
        f = spy(lambda x: x.square().sum())
        student.gradient_descent(f, randn(rng, 2), 0.1, steps, momentum=0.5)
        if f.calls > steps + 1:
            fail("f was called more than steps + 1 times.", kind="cost")


# ----------------------------------------------------------------------------------------------------- 8. bug


def huber(x):
    """Half the square near 0, a straight line farther out."""
    return torch.nn.functional.huber_loss(x, torch.zeros_like(x), reduction="sum")


def elu(x):
    """Identity for positive numbers, exponential below; smooth at 0."""
    return torch.nn.functional.elu(x).sum()


def log_of_row_sums(x):
    """The sum over the rows of log Σ exp."""
    return torch.logsumexp(x, 1).sum()


def pairs_of_rows(x):
    """Half the squared length of the sum of all rows."""
    return x.sum(0).square().sum() / 2


def of_column_means(x):
    """All rows have the same gradient."""
    return x.mean(0).sin().sum()


def mean_of_cubes(x):
    """The mean, not the sum."""
    return (x**3).mean()


def centred(x):
    """Half the squares of the differences from the row's mean."""
    return (x - x.mean(1, keepdim=True)).square().sum() / 2


def ordered(x):
    """Each entry times its neighbour on the right."""
    return (x[:, :-1] * x[:, 1:]).sum()


def _neighbours(x):
    result = torch.zeros_like(x)
    result[:, :-1] += x[:, 1:]
    result[:, 1:] += x[:, :-1]
    return result


def _first_row_only(x):
    result = torch.zeros_like(x)
    result[0] = x.sum(0)
    return result


def _last_column_missing(x):
    result = x.clamp(-1, 1)
    result[:, -1] = 0
    return result


def _coarse(x):
    """One-sided differences of Σ sin(x) with a step of 0.001."""
    return ((x + 2e-3).sin() - x.sin()) / 2e-3


RIGHT = {
    "region": (huber, lambda x: x.clamp(-1, 1)),
    "region 2": (elu, lambda x: torch.where(x > 0, 1.0, x.exp())),
    "coupling": (log_of_row_sums, lambda x: torch.softmax(x, 1)),
    "coupling 2": (pairs_of_rows, lambda x: x.sum(0).expand_as(x)),
    "coupling 3": (ordered, _neighbours),
    "chain": (mean_of_cubes, lambda x: 3 * x**2 / x.numel()),
    "form": (of_column_means, lambda x: (x.mean(0).cos() / len(x)).expand_as(x)),
    "shifted": (centred, lambda x: (x - x.mean(1, keepdim=True)) * (1 + 1e-9)),
}
REGION = [
    (huber, lambda x: x),
    (elu, torch.ones_like),
    (huber, _last_column_missing),
    (lambda x: torch.nn.functional.softplus(x).sum(), lambda x: torch.where(x > 0, torch.sigmoid(x), x.exp())),
    (lambda x: x.abs().pow(3).sum(), lambda x: 3 * x**2),
]
COUPLING = [
    (log_of_row_sums, lambda x: torch.softmax(x, 0)),
    (log_of_row_sums, lambda x: torch.softmax(x.flatten(), 0).view(x.shape)),
    (pairs_of_rows, lambda x: x),
    (pairs_of_rows, _first_row_only),
    (ordered, lambda x: x.roll(-1, 1) + x.roll(1, 1)),
    (pairs_of_rows, lambda x: x.sum(1, keepdim=True).expand_as(x)),
    (log_of_row_sums, lambda x: torch.softmax(x, 1).flip(1)),
]
FORM = [
    (mean_of_cubes, lambda x: 3 * x**2),
    (lambda x: x.cos().sum(), lambda x: x.sin()),
    (lambda x: (2 * x).sin().sum(), lambda x: (2 * x).cos()),
    (of_column_means, lambda x: x.mean(0).cos() / len(x)),
    (of_column_means, lambda x: (x.mean(0).cos() / len(x)).expand_as(x).t()),
    (huber, lambda x: x.clamp(-1, 1).float()),
    (lambda x: x.sin().sum(), _coarse),
]


def accepts(student, names):
    """End the check unless the student's check returns None for right gradients, after calling them."""
    for name in names:
        f, df = RIGHT[name]
        spied = spy(df, max_calls=300)
        try:
            result = student.check_gradient(spy(f, max_calls=300), spied)
        except AssertionError:
            fail("A right gradient was refused: AssertionError was raised for it.")
        if result is not None:
            fail("For a right gradient, check_gradient returns None.", kind="type")
        if not spied.calls:
            fail("A right gradient was accepted without a single call of it.")


def catches(student, bugs, kind):
    """End the check unless the student's check raises AssertionError for all of them, after calling them."""
    missed = 0
    for f, df in bugs:
        spied = spy(df, max_calls=300)
        try:
            student.check_gradient(spy(f, max_calls=300), spied)
        except AssertionError:
            missed += not spied.calls
        else:
            missed += 1
    if missed:
        fail(f"Of {len(bugs)} wrong gradients ({kind}), {missed} were accepted.")


@check("bug", points=1, hint="Random entries of either sign, some of them well beyond ±1, in every column.")
def test_bug_region(student):
    """check_gradient finds gradients that are right in a part of the entries only, and accepts right ones."""
    accepts(student, ("region", "region 2", "shifted"))
    catches(student, REGION, "region")


@check(
    "bug",
    points=1,
    hint="Several rows and columns, all entries different: a bug hides where rows or columns are equal.",
)
def test_bug_coupling(student):
    """check_gradient finds gradients that ignore how entries influence each other, and accepts right ones."""
    accepts(student, ("coupling", "coupling 2", "coupling 3"))
    catches(student, COUPLING, "coupling")


@check("bug", points=1, hint="Compare shape and dtype before the values, and allow for 10⁻⁶, not for 10⁻³.")
def test_bug_form(student):
    """check_gradient finds missing factors, wrong shapes and dtypes, and coarse differences."""
    accepts(student, ("chain", "form"))
    catches(student, FORM, "chain rule, form and precision")
