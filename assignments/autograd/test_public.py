"""Public checks of autograd: the ones that students run themselves.

They count when a notebook is marked; the gate of each exercise is here. Worth 30 of the 100 points.
"""

import torch

from grader.checks import check, close, contract, fail, forbid, probe, spy, watch

# Policy, told to students at the top of the notebook. ``torch.func`` goes through ``torch.autograd.grad`` as well.
FORBIDDEN = [
    forbid(
        "sigmoid",
        names=(
            "torch.sigmoid",
            "torch.sigmoid_",
            "torch.Tensor.sigmoid",
            "torch.Tensor.sigmoid_",
            "torch.special.expit",
            "torch.nn.functional.sigmoid",
            "torch.nn.functional.logsigmoid",
            "torch.nn.functional.silu",
            "torch.nn.Sigmoid",
        ),
        ops=("aten::sigmoid", "aten::sigmoid_", "aten::sigmoid_backward", "aten::log_sigmoid_forward", "aten::silu"),
        instead="exp",
    ),
    forbid(
        "var",
        names=(
            "torch.autograd.grad",
            "torch.autograd.backward",
            "torch.autograd.functional.*",
            "torch.func.*",
            "torch.Tensor.backward",
            "torch.Tensor.requires_grad_",
            "torch.Tensor.requires_grad.__set__",
        ),
        instead="tensors that do not require grad, and a graph of your own",
    ),
]

F64 = torch.float64
BOTH_DTYPES = (F64, torch.float32)


def randn(rng, *shape, dtype=F64):
    """Standard normal numbers, the same ones for both dtypes."""
    return torch.randn(shape, generator=rng, dtype=F64).to(dtype)


def attached(output):
    """End the check with a sentence for the student where autograd cannot go back."""
    if not isinstance(output, torch.Tensor) or not output.requires_grad:
        fail("The result is cut off from autograd: no gradient flows back to the input.", kind="gradient")


# ------------------------------------------------------------------------------------------- 1. numerical_grad


@check(
    "numerical_grad",
    points=2,
    gate=True,
    hint="(f(x + ε eᵢ) − f(x − ε eᵢ)) / 2ε for each entry, with a step that is 0 at all other entries.",
)
def test_numerical_grad_values(student, rng):
    """numerical_grad of Σ x sin(x) is sin(x) + x cos(x), in float64."""
    for shape in ((4,), (2, 3)):
        x = randn(rng, *shape)
        exact = x.sin() + x * x.cos()
        close(
            contract(student.numerical_grad, lambda x: (x * x.sin()).sum(), x),
            exact,
            rtol=1e-5,
            atol=1e-5,
            misconceptions={
                "the two points lie 2ε apart, and the difference was divided by ε": 2 * exact,
                "all entries were stepped at once; each needs a step of its own": exact.sum().expand(shape),
                "the gradient was averaged over the entries": exact / x.numel(),
            },
        )


# ------------------------------------------------------------------------------------------------- 2. sigmoid


@check(
    "sigmoid",
    points=3,
    gate=True,
    hint="forward: 1 / (1 + exp(−x)), saved for backward. backward: grad_output · y · (1 − y), with y as it was saved.",
)
def test_sigmoid_values(student, rng):
    """SigmoidFn gives 1 / (1 + exp(−x)), and can be differentiated twice."""
    for dtype in BOTH_DTYPES:
        x = torch.cat([torch.zeros(1, dtype=dtype), 2 * randn(rng, 5, dtype=dtype)]).requires_grad_()
        raw = 1 / (1 + (-x.detach()).exp())
        y = contract(student.SigmoidFn.apply, x)
        close(y, raw, misconceptions={"the sign of the exponent was lost: that is σ(−x)": 1 - raw})
        attached(y)
        (gradient,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        again = 1 / (1 + (-raw).exp())
        close(
            gradient,
            raw * (1 - raw),
            what="the gradient",
            misconceptions={
                "backward took the sigmoid of what was saved once more; the output was saved": again * (1 - again),
                "the factor 1 − y is missing": raw,
                "the factor y is missing": 1 - raw,
            },
        )
        attached(gradient)
        (second,) = torch.autograd.grad(gradient.sum(), x)
        close(
            second,
            raw * (1 - raw) * (1 - 2 * raw),
            what="the second derivative",
            misconceptions={"backward ignored the gradient that comes in": raw * (1 - raw)},
        )


# -------------------------------------------------------------------------------------------------- 3. linear


@check(
    "linear",
    points=3,
    gate=True,
    hint="dx = g W, dw = gᵀ x, and db sums g over the rows: one gradient for each argument of forward, in their order.",
)
def test_linear_values(student, rng):
    """LinearFn gives x Wᵀ + b, with the gradients of all three, and can be differentiated twice."""
    for dtype in BOTH_DTYPES:
        x, w, b = (randn(rng, *shape, dtype=dtype).requires_grad_() for shape in ((5, 3), (2, 3), (2,)))
        upstream = randn(rng, 5, 2, dtype=dtype)
        due = x @ w.T + b
        y = contract(student.LinearFn.apply, x, w, b)
        close(y, due.detach(), misconceptions={"the bias was subtracted": (due - 2 * b).detach()})
        attached(y)
        gradients = torch.autograd.grad((y * upstream).sum(), (x, w, b), create_graph=True, allow_unused=True)
        for name, gradient, exact in zip(
            ("x", "w", "b"), gradients, (upstream @ w, upstream.T @ x, upstream.sum(0)), strict=True
        ):
            close(
                gradient,
                exact.detach(),
                what=f"the gradient of {name}",
                rtol=1e-5 if dtype == torch.float32 else 1e-9,
                atol=1e-5 if dtype == torch.float32 else 1e-9,
                misconceptions={
                    "the gradient was averaged over the samples; it is their sum": exact.detach() / 5,
                    "the gradient that comes in was ignored": {
                        "x": w.detach().sum(0).expand(5, 3),
                        "w": x.detach().sum(0).expand(2, 3),
                        "b": torch.full((2,), 5.0, dtype=dtype),
                    }[name],
                },
            )
        attached(gradients[0])
        (second,) = torch.autograd.grad((gradients[0] ** 2).sum() / 2, w)
        close(
            second,
            upstream.T @ upstream @ w.detach(),
            rtol=1e-4 if dtype == torch.float32 else 1e-9,
            atol=1e-4 if dtype == torch.float32 else 1e-9,
            what="the second derivative",
        )


@check("linear", points=1, hint="b may be None: leave the sum out, and return None as its gradient.")
def test_linear_without_bias(student, rng):
    """LinearFn works without a bias."""
    x, w = (randn(rng, *shape).requires_grad_() for shape in ((4, 3), (2, 3)))
    y = contract(student.LinearFn.apply, x, w, None)
    close(y, (x @ w.T).detach())
    attached(y)
    dx, dw = torch.autograd.grad(y.sum(), (x, w), allow_unused=True)
    close(dx, w.detach().sum(0).expand(4, 3), what="the gradient of x")
    close(dw, x.detach().sum(0).expand(2, 3), what="the gradient of w")


# ----------------------------------------------------------------------------------------------------- 4. Var


@probe
def small_graph(student, a, b, c, upstream):
    """Build a · b + c and go back from it; everything that can be seen of it."""
    before = torch.get_rng_state()
    left, right = student.Var(a, requires_grad=True), student.Var(b, requires_grad=True)
    y = left * right + c
    y.backward(upstream)
    quiet = torch.equal(before, torch.get_rng_state())
    return y.data, left.grad, right.grad, [a, b, c, upstream], quiet, torch.is_grad_enabled()


@check(
    "var",
    points=4,
    gate=True,
    hint="The gradient of a product with respect to one factor is the incoming gradient times the other factor.",
)
def test_var_graph(student, rng):
    """With y = a · b + c, backward(g) leaves g · b in a.grad and g · a in b.grad, and nothing else changes."""
    for dtype in BOTH_DTYPES:
        a, b, c = (randn(rng, 2, 3, dtype=dtype) for _ in range(3))
        upstream = randn(rng, 3, 2, dtype=dtype).t()
        y, of_a, of_b, arguments, quiet, grad_mode = small_graph(student, a, b, c, upstream)
        close(y, a * b + c, what=".data of the result")
        for got, other, name in ((of_a, b, "a"), (of_b, a, "b")):
            close(
                got,
                upstream * other,
                what=f"the gradient of {name}",
                misconceptions={
                    "backward ignored the gradient that it was given to start from": other,
                    "each factor got its own value; the gradient of a product is the other factor": (
                        upstream * (a if other is b else b)
                    ),
                },
            )
        for one, other in zip(arguments, (a, b, c, upstream), strict=True):
            if not torch.equal(one, other):
                fail("A tensor that was handed in has been changed.", kind="mutation")
        if not quiet:
            fail("The global random generator was touched.", kind="randomness")
        if not grad_mode:
            fail("Gradients were switched off and stayed off.", kind="side-effect")


@probe
def all_operations(student, x, y):
    """The values of every operation, with operands on either side."""
    a, b = student.Var(x, requires_grad=True), student.Var(y)
    with_vars = [a + b, a - b, a * b, a / b, a @ b, -a, a**3, a**0.5, a**-1]
    on_the_right = [a + y, a - y, a * y, a / y, a @ y, a + 1.7, a - 1.7, a * 1.7, a / 1.7]
    on_the_left = [y + a, y - a, y * a, y / a, y @ a, 1.7 + a, 1.7 - a, 1.7 * a, 1.7 / a]
    methods = [a.exp(), a.log(), (a - y).relu(), a.sum(), a.sum(dim=0), a.sum(1, keepdim=True), a.detach()]
    every = [*with_vars, *on_the_right, *on_the_left, *methods]
    return [isinstance(each, student.Var) for each in every], [each.data for each in every]


@check(
    "var",
    points=3,
    hint="Operands may be a Var, a tensor or a number. For 1 − a Python calls __rsub__, and the order matters.",
)
def test_var_operations(student, rng):
    """Every operation of Var gives a Var with the right value, whatever stands on the other side."""
    x, y = (0.5 + torch.rand(3, 3, generator=rng, dtype=F64) for _ in range(2))
    for dtype in BOTH_DTYPES:
        a, b = x.to(dtype), y.to(dtype)
        expected = {
            "a + b": a + b,
            "a - b": a - b,
            "a * b": a * b,
            "a / b": a / b,
            "a @ b": a @ b,
            "-a": -a,
            "a ** 3": a**3,
            "a ** 0.5": a**0.5,
            "a ** -1": a**-1,
            "a + tensor": a + b,
            "a - tensor": a - b,
            "a * tensor": a * b,
            "a / tensor": a / b,
            "a @ tensor": a @ b,
            "a + number": a + 1.7,
            "a - number": a - 1.7,
            "a * number": a * 1.7,
            "a / number": a / 1.7,
            "tensor + a": b + a,
            "tensor - a": b - a,
            "tensor * a": b * a,
            "tensor / a": b / a,
            "tensor @ a": b @ a,
            "number + a": 1.7 + a,
            "number - a": 1.7 - a,
            "number * a": 1.7 * a,
            "number / a": 1.7 / a,
            "a.exp()": a.exp(),
            "a.log()": a.log(),
            "(a - tensor).relu()": (a - b).relu(),
            "a.sum()": a.sum(),
            "a.sum(dim=0)": a.sum(0),
            "a.sum(1, keepdim=True)": a.sum(1, keepdim=True),
            "a.detach()": a,
        }
        are_vars, values = all_operations(student, a, b)
        if are_vars != [True] * len(expected):
            fail("Each operation must return a Var.", kind="type")
        for (name, due), value in zip(expected.items(), values, strict=True):
            close(value, due, what=name)


@probe
def add_a_row(student, table, row, upstream):
    """Gradients of a table plus, and times, a row."""
    found = []
    for combine in (lambda one, other: one + other, lambda one, other: one * other):
        a, b = student.Var(table, requires_grad=True), student.Var(row, requires_grad=True)
        combine(a, b).backward(upstream)
        found.append([a.grad, b.grad])
    return found


@check("var", points=2, hint="The row was copied to all rows, so its gradient is the sum over all rows.")
def test_var_broadcasting(student, rng):
    """The gradient of a (4,) that was added to, or multiplied with, a (3, 4) is the sum over the rows."""
    table, row, upstream = randn(rng, 3, 4), randn(rng, 4), randn(rng, 3, 4)
    added, multiplied = add_a_row(student, table, row, upstream)
    for (of_table, of_row), due_table, due_row in (
        (added, upstream, upstream),
        (multiplied, upstream * row, upstream * table),
    ):
        close(of_table, due_table, what="the gradient of the (3, 4)")
        close(
            of_row,
            due_row.sum(0),
            what="the gradient of the (4,)",
            misconceptions={
                "the gradients of the copies were averaged; they add up": due_row.mean(0),
                "the gradient kept the shape of the result; copies are summed up again": due_row,
                "only the first of the copies was counted": due_row[0],
            },
        )


# ------------------------------------------------------------------------------------------------ 5. detached


@check(
    "detached",
    points=3,
    gate=True,
    hint="f(x) is a constant here. What is the derivative of c · x with respect to x?",
)
def test_detached_values(student, rng):
    """detached_product_grad treats f(x) as a constant."""
    for dtype in BOTH_DTYPES:
        x = randn(rng, 2, 3, dtype=dtype)
        for track in (False, True):
            f = spy(lambda x: (2 * x).sin())
            close(
                contract(student.detached_product_grad, f, x.clone().requires_grad_(track)),
                (2 * x).sin(),
                misconceptions={
                    "f(x) was differentiated too; it is a constant here": (2 * x).sin() + 2 * x * (2 * x).cos(),
                    "the product itself was returned, not its gradient": (2 * x).sin() * x,
                    "the wrong factor was detached": 2 * x * (2 * x).cos(),
                    "the mean was differentiated where the sum is due": (2 * x).sin() / 6,
                },
            )


# ---------------------------------------------------------------------------------------------- 6. per_sample


def exact_grads(X, t, w, b):
    """The gradients of all samples in closed form."""
    p = torch.sigmoid(X @ w + b)
    gb = (p - t) * p * (1 - p)
    return gb[:, None] * X, gb


def two_grads(result):
    """The pair (gw, gb), or the end of the check."""
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        fail("Two tensors are due: (gw, gb).", kind="shape")
    return result


@check(
    "per_sample",
    points=3,
    gate=True,
    hint="(p − t) · p (1 − p) for each sample is gb; times x of the sample, it is gw.",
)
def test_per_sample_values(student, rng):
    """per_sample_grads returns the gradients of ½ (σ(x w + b) − t)² for each sample."""
    for dtype in BOTH_DTYPES:
        X, w, b = randn(rng, 5, 3, dtype=dtype), randn(rng, 3, dtype=dtype), randn(rng, dtype=dtype)
        t = torch.rand(5, generator=rng, dtype=F64).to(dtype)
        p = torch.sigmoid(X @ w + b)
        due_w, due_b = exact_grads(X, t, w, b)
        gw, gb = two_grads(contract(student.per_sample_grads, X, t, w, b))
        for got, due, factor, what in ((gb, due_b, 1, "gb"), (gw, due_w, X, "gw")):
            shape = (5,) if what == "gb" else (5, 1)
            close(
                got,
                due,
                what=what,
                misconceptions={
                    "the gradient was summed over the samples; each keeps its own": due.sum(0),
                    "the gradient was averaged over the samples; each keeps its own": due.mean(0),
                    "the gradients were divided by n, as for a mean": due / 5,
                    "the ½ in front of the square was forgotten": 2 * due,
                    "the derivative of the sigmoid is missing": (p - t).reshape(shape) * factor,
                    "truth minus prediction was used; it is prediction minus truth": -due,
                },
            )


@check("per_sample", points=1, hint="The gradient of a sum is the sum of the gradients.")
def test_per_sample_sum(student, rng):
    """The gradients of all samples add up to the gradient of the whole loss."""
    X, t = randn(rng, 6, 2), torch.rand(6, generator=rng, dtype=F64)
    w, b = randn(rng, 2).requires_grad_(), randn(rng).requires_grad_()
    due = torch.autograd.grad(0.5 * ((torch.sigmoid(X @ w + b) - t) ** 2).sum(), (w, b))
    gw, gb = two_grads(student.per_sample_grads(X, t, w.detach(), b.detach()))
    close(gw.sum(0), due[0], what="the sum of gw over the samples")
    close(gb.sum(0), due[1], what="the sum of gb over the samples")


# ------------------------------------------------------------------------------------------------- 7. descent


@check(
    "descent",
    points=2,
    gate=True,
    hint="x and y are p[..., 0] and p[..., 1]. The value at (0, 0) is 11² + 7² = 170.",
)
def test_himmelblau_values(student, rng):
    """himmelblau gives (x² + y − 11)² + (x + y² − 7)² of each point, and can be differentiated."""
    for dtype in BOTH_DTYPES:
        p = torch.cat([torch.zeros(1, 2, dtype=dtype), 3 * randn(rng, 4, 2, dtype=dtype)]).requires_grad_()
        x, y = p.detach().unbind(-1)
        first, second = x**2 + y - 11, x + y**2 - 7
        due = first**2 + second**2
        tolerance = {"rtol": 1e-5, "atol": 1e-3} if dtype == torch.float32 else {"rtol": 1e-9, "atol": 1e-9}
        result = contract(student.himmelblau, p)
        close(
            result,
            due,
            **tolerance,
            misconceptions={
                "x and y were exchanged": (y**2 + x - 11) ** 2 + (y + x**2 - 7) ** 2,
                "the values of all points were added up; each has its own": due.sum(),
                "the squares around the brackets are missing": first + second,
            },
        )
        attached(result)
        (gradient,) = torch.autograd.grad(result.sum(), p)
        exact = torch.stack([4 * x * first + 2 * second, 2 * first + 4 * y * second], dim=-1)
        close(gradient, exact, **tolerance, what="the gradient")


@check("descent", points=2, hint="One gradient, one step against it, one more row; the start is row 0.")
def test_descent_parabola(student, rng):
    """gradient_descent on Σ x²: each step multiplies x by 1 − 2 · lr, and the trajectory begins with x0."""
    for dtype in BOTH_DTYPES:
        x0 = randn(rng, 3, dtype=dtype)
        powers = torch.tensor([[1.0], [0.8], [0.64], [0.512]], dtype=dtype)
        uphill = torch.tensor([[1.0], [1.2], [1.44], [1.728]], dtype=dtype)
        close(
            contract(student.gradient_descent, lambda x: (x**2).sum(), x0, lr=0.1, steps=3),
            powers * x0,
            misconceptions={
                "the steps go uphill; x − lr · gradient goes down": uphill * x0,
                "the starting point is missing": (powers * x0)[1:],
                "the last point is missing": (powers * x0)[:-1],
                "only the last point was returned": (powers * x0)[-1],
                "all points of the trajectory are the same tensor, changed in place": powers[-1] * x0.expand(4, 3),
            },
        )


# ----------------------------------------------------------------------------------------------------- 8. bug


def sine_of_squares(x):
    """Σ sin(x²), as in the notebook."""
    return (x**2).sin().sum()


def right_gradient(x):
    """Its gradient."""
    return 2 * x * (x**2).cos()


def forgetful_gradient(x):
    """The wrong one that the notebook shows."""
    return x * (x**2).cos()


@check("bug", points=1, gate=True, hint="Compare df(x) with autograd or numerical_grad at random points, and assert.")
def test_bug_shown(student):
    """check_gradient accepts a right gradient and refuses the one of the notebook that forgot a factor of 2."""
    right = spy(right_gradient, max_calls=300)
    try:
        seen = watch(student.check_gradient, spy(sine_of_squares, max_calls=300), right, meter=False)
    except AssertionError:
        fail("A right gradient was refused: AssertionError was raised for it.")
    if seen.value is not None:
        fail("For a right gradient, check_gradient returns None.", kind="type")
    if seen.flags_changed:
        fail(f"check_gradient leaves a global setting changed: {seen.flags_changed[0]}.", kind="side-effect")
    if not right.calls:
        fail("A right gradient was accepted without a single call of it.")
    wrong = spy(forgetful_gradient, max_calls=300)
    try:
        student.check_gradient(spy(sine_of_squares, max_calls=300), wrong)
    except AssertionError:
        if not wrong.calls:
            fail("A wrong gradient was refused without a single call of it.")
    else:
        fail("A wrong gradient was accepted: no AssertionError was raised for it.")
