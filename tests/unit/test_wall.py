"""The wall between two peers: calls, objects, gradients both ways, and what a hostile guest may say."""

import socket
import threading

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from in_process import notebook, student_of
from safetensors.torch import save
from torch.autograd import gradcheck, gradgradcheck

from grader.guest.wire import MAGIC, PREFIX, Channel, Closed
from grader.wall.faults import Crashed, Forbidden, Mismatch, Missing, NotWritten, OutOfTime, Raised, Violation
from grader.wall.host import Spy, Student, Wall
from grader.wall.session import CodeCell, Policy, _cell_result, prepare

F64 = {"dtype": torch.float64}

NOTEBOOK = """
import copy

class SigmoidFn(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        s = 1 / (1 + (-x).exp())
        ctx.save_for_backward(s)
        return s

    @staticmethod
    def backward(ctx, g):
        (s,) = ctx.saved_tensors
        return g * s * (1 - s)

class Linear(torch.nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.arange(1.0, i * o + 1, dtype=torch.float64).view(o, i))
        self.bias = torch.nn.Parameter(torch.zeros(o, dtype=torch.float64))

    def forward(self, x):
        return x @ self.weight.t() + self.bias

class Holder:
    def __init__(self, x):
        self.x = x

    def loss(self):
        return (self.x ** 3).sum()

class Var:
    def __init__(self, data):
        self.data = data

    def __add__(self, other):
        return Var(self.data + (other.data if isinstance(other, Var) else other))

    __radd__ = __add__

    def __mul__(self, other):
        return Var(self.data * (other.data if isinstance(other, Var) else other))

    __rmul__ = __mul__

    def __neg__(self):
        return Var(-self.data)

    def __len__(self):
        return 3

    def __getitem__(self, i):
        return self.data[i]

class Always:
    def __eq__(self, other):
        return True

    def __bool__(self):
        return True

    __hash__ = None

def cube(x):
    return (x.exp() * x ** 3).sum(-1)

def several(x, y):
    return {"product": x * y, "sums": [x + y, (x.detach(), 3)]}

def detached(x):
    return x.detach() * 2

def same(x):
    return x

def constant(x):
    return torch.ones(2, dtype=torch.float64)

def refuses(x):
    raise ValueError("no")

def stub(x):
    raise NotImplementedError("later")

def custom(x):
    class Mine(KeyError):
        pass
    raise Mine("x")

def draw(generator):
    return torch.randn(3, generator=generator)

def through(f, x):
    return f(x) * 2

def through_a_copy(f, x):
    return copy.deepcopy({"f": f})["f"](x)

def slope(f, x):
    x = x.detach().clone().requires_grad_()
    f(x).sum().backward()
    return x.grad

def count(n):
    for i in range(n):
        yield i

def always():
    return Always()

def mode():
    return torch.is_grad_enabled()

def kinds(x):
    return type(x).__name__, x.requires_grad, x.grad is None, x.is_contiguous()
"""


@pytest.fixture
def wall():
    with notebook(NOTEBOOK) as wall:
        yield wall


@pytest.fixture
def student(wall):
    return Student(wall)


@pytest.fixture
def x():
    return torch.linspace(-1, 1, 12, **F64).view(3, 4).requires_grad_()


def test_first_and_second_gradients_cross(student, x):
    """gradcheck and gradgradcheck pass on a plain function and on autograd.Function.apply."""
    for function in (student.cube, student.SigmoidFn.apply):
        assert gradcheck(function, x)
        assert gradgradcheck(function, x)


def test_gradients_flow_through_nested_results(student, x):
    """Each tensor of a nested result is attached, what is detached is not, and a number stays a number."""
    y = torch.ones(3, 4, **F64, requires_grad=True)
    result = student.several(x, y)
    assert result["sums"][1][0].requires_grad is False
    assert result["sums"][1][1] == 3
    (result["product"] * 2 + result["sums"][0]).sum().backward()
    assert torch.equal(x.grad, 2 * y.detach() + 1)
    assert torch.equal(y.grad, 2 * x.detach() + 1)
    assert gradgradcheck(lambda a, b: student.several(a, b)["product"] ** 2, (x.detach().requires_grad_(), y))


def test_backward_fills_the_students_own_parameters(student, x):
    """.backward() adds to the .grad of the student's parameters, autograd.grad does not touch it."""
    layer = student.Linear(4, 2)
    layer(x).sum().backward()
    weight = layer.weight
    assert torch.allclose(weight.grad, x.detach().sum(0).expand(2, 4))
    (found,) = torch.autograd.grad(layer(x).sum(), x)
    assert torch.allclose(found, weight.detach().sum(0).expand(3, 4))
    assert torch.equal(layer.weight.grad, weight.grad)
    layer(x.detach()).sum().backward()
    assert torch.allclose(layer.weight.grad, 2 * weight.grad)


def test_a_graph_can_be_used_once(student, x):
    """Backward twice without retain_graph is refused, as in torch; with it, it works."""
    out = student.cube(x).sum()
    out.backward(retain_graph=True)
    out.backward()
    assert torch.allclose(x.grad, 2 * torch.autograd.grad(student.cube(x).sum(), x)[0])
    with pytest.raises(RuntimeError, match="second time"):
        out.backward()


def test_gradients_reach_tensors_of_an_earlier_call(student, x):
    """An object that kept a tensor of ours gives gradients to it when it is used later."""
    holder = student.Holder(x * 2)
    holder.loss().backward()
    assert torch.allclose(x.grad, 3 * (2 * x.detach()) ** 2 * 2)


def test_nothing_is_attached_that_does_not_depend(student, x):
    """Detached and constant results need no grad, and neither does anything under no_grad."""
    assert not student.detached(x).requires_grad
    assert not student.constant(x).requires_grad
    assert student.same(x).requires_grad
    with torch.no_grad():
        assert not student.cube(x).requires_grad
        assert student.mode() is False
    assert student.mode() is True


def test_inputs_without_grad_cost_no_graph(wall, student, x):
    """A call without inputs that require grad leaves no node in the guest."""
    student.cube(x.detach())
    assert not wall.worker.nodes


def test_the_guest_keeps_a_graph_only_while_it_is_needed(wall, student, x):
    """A hundred results that nobody keeps leave no more than the last few nodes behind."""
    for _ in range(100):
        student.cube(x)
    student.mode()
    assert len(wall.worker.nodes) <= 1


def test_grad_and_strides_are_seen_there(student):
    """A leaf arrives as a leaf: requires_grad, .grad and strides as they are here."""
    x = torch.ones(2, 3, requires_grad=True)
    assert student.kinds(x) == ("Tensor", True, True, True)
    x.grad = torch.zeros(2, 3)
    assert student.kinds(x) == ("Tensor", True, False, True)
    assert student.kinds(torch.ones(2, 3).t()) == ("Tensor", False, True, False)
    assert student.kinds(torch.nn.Parameter(torch.ones(2)))[0] == "Parameter"


def test_generators_advance_on_both_sides(student):
    """A generator that is handed over draws the same numbers as here, and goes on from there."""
    ours, theirs = torch.Generator().manual_seed(1), torch.Generator().manual_seed(1)
    for _ in range(2):
        assert torch.equal(student.draw(theirs), torch.randn(3, generator=ours))


def test_host_functions_can_be_handed_in(student, x):
    """A function of ours is called from there, with gradients in both orders and directions."""
    assert torch.equal(student.slope(lambda t: t**3, torch.tensor([2.0])), torch.tensor([12.0]))
    assert gradcheck(lambda t: student.through(torch.sin, t), x)
    assert gradgradcheck(lambda t: student.through(torch.sin, t), x)
    model = torch.nn.Linear(4, 1).double()
    student.through(model, x).sum().backward()
    assert model.weight.grad is not None
    assert torch.equal(student.through_a_copy(torch.sin, x), x.sin())


def test_a_query_budget_holds(student):
    """Calls and samples are counted here; what is over the budget is refused with an error in the student's code."""
    spy = Spy(torch.sin, max_calls=2)
    student.through(spy, torch.ones(5))
    student.through(spy, torch.ones(5))
    assert (spy.calls, spy.samples) == (2, 10)
    with pytest.raises(RuntimeError):
        student.through(spy, torch.ones(5))
    with pytest.raises(RuntimeError):
        student.through(Spy(torch.sin, max_samples=4), torch.ones(5))


def test_objects_work_like_objects(student):
    """Operators (also reflected, also with our tensors), items, attributes, length and iteration work on proxies."""
    var = 2 * (student.Var(torch.ones(2)) + 1)
    assert torch.equal(var.data, torch.full((2,), 4.0))
    assert torch.equal((torch.ones(2) * student.Var(3.0)).data, torch.full((2,), 3.0))
    assert torch.equal((-var).data, torch.full((2,), -4.0))
    assert len(var) == 3
    assert var[0] == 4
    var.data = torch.zeros(1)
    assert torch.equal(var.data, torch.zeros(1))
    assert list(student.count(4)) == [0, 1, 2, 3]
    layer = student.Linear(2, 2)
    layer.load_state_dict({"weight": torch.zeros(2, 2, **F64), "bias": torch.ones(2, **F64)})
    assert torch.equal(layer(torch.ones(1, 2, **F64)), torch.ones(1, 2, **F64))


def test_an_object_that_always_agrees_agrees_with_nobody(student):
    """==, bool() and float() of a proxy, and torch functions of it, end in a Mismatch."""
    thing = student.always()
    for use in (
        lambda: thing == 3,
        lambda: thing != 3,
        lambda: bool(thing),
        lambda: float(thing),
        lambda: torch.equal(thing, torch.ones(2)),
        lambda: torch.allclose(torch.ones(2), thing),
        lambda: thing < 3,
    ):
        with pytest.raises(Mismatch, match="object of type Always"):
            use()


def test_errors_keep_their_class_and_line(student):
    """A student's exception is the same built-in class here, with cell, line and text; a subclass is its base."""
    with pytest.raises(ValueError) as caught:
        student.refuses(1)
    assert isinstance(caught.value, Raised)
    cell, line, text = caught.value.at
    assert (cell, text) == (3, 'raise ValueError("no")')
    assert NOTEBOOK.strip().splitlines()[line - 1].strip() == text
    with pytest.raises(KeyError):
        student.custom(1)


def test_a_stub_is_no_runtime_error(student):
    """NotImplementedError is a RuntimeError in Python, and never one here."""
    with pytest.raises(NotWritten) as caught:
        student.stub(1)
    assert not isinstance(caught.value, RuntimeError)


def test_a_missing_name_is_missing(student):
    """A name that the notebook does not define is told as such."""
    with pytest.raises(Missing, match="`nope`"):
        _ = student.nope


def test_forbidden_names_are_seen_through_aliases(wall, student):
    """A forbidden name is caught at function level, and by its operator where an alias hides it."""
    with student_of("""
        import torch.nn.functional as F
        alias = torch.softmax
        def one(x): return F.softmax(x, -1)
        def two(x): return x.softmax(-1)
        def three(x):
            try:
                return alias(x, -1)
            except Exception:
                return x
        def four(x): return x.exp() / x.exp().sum()
    """) as other:
        names = ("torch.nn.functional.softmax", "torch.Tensor.softmax")
        prepare(other._wall, 1, Policy(names=names, ops=("aten::_softmax",), instead="exp"))
        for function in (other.one, other.two, other.three):
            with pytest.raises(Forbidden, match="use exp"):
                function(torch.ones(3))
        assert other.four(torch.ones(3)).shape == (3,)


class Hostile:
    """A guest that says what it likes."""

    def __init__(self, *frames: bytes, close: bool = False):
        ours, theirs = socket.socketpair()
        self.wall = Wall(ours, seconds=5)

        def talk():
            reader = Channel(theirs)
            try:
                for frame in frames:
                    reader.receive()
                    theirs.sendall(frame)
                if close:
                    theirs.shutdown(socket.SHUT_RDWR)
                else:
                    reader.receive()
            except (Closed, OSError):
                pass

        self.thread = threading.Thread(target=talk, daemon=True)
        self.thread.start()
        self.theirs = theirs

    def __enter__(self):
        return self.wall

    def __exit__(self, *_):
        self.wall.close()
        self.thread.join(5)
        self.theirs.close()


def frame(header: bytes, blob: bytes = b"") -> bytes:
    return PREFIX.pack(MAGIC, len(header), len(blob)) + header + blob


@pytest.mark.parametrize(
    "header",
    [
        b'{"r":99,"v":1}',
        b'{"r":1}{"r":1}',
        b'{"r":1,"v":{"o":3}}',
        b'{"r":1,"v":{"m":3}}',
        b'{"r":1,"v":{"t":0}}',
        b'{"r":1,"err":"x"}',
        b'{"r":1,"v":1,"f":[]}',
        b'{"r":1,"v":1,"gens":{"0":0}}',
        b'{"r":1,"v":1,"gens":[]}',
        b'{"r":1,"v":1,"node":{"id":1,"in":[5],"own":true,"outs":[0]}}',
        b'{"r":1,"v":1,"node":7}',
        '{"r":1,"v":1,"gens":{"\u00b2":0}}'.encode(),
        b'{"r":1,"v":1,"node":{"id":1,"in":[[]],"own":true,"outs":[0]}}',
        b'{"q":1,"op":"cell","a":[0,"x"],"k":{}}',
        b'{"q":1,"op":"call","a":[{"m":1}],"k":{}}',
        b'{"q":1,"op":"grad","a":[7],"k":{}}',
        b'{"q":1,"op":"perform","a":[],"k":{}}',
        b'{"q":"x"}',
        b'{"q":1,"op":"call","a":{},"k":[]}',
        b"[]",
        b"{",
        b'{"r":1,"v":' + b"[" * 300 + b"]" * 300 + b"}",
    ],
)
def test_whatever_breaks_the_protocol_is_a_violation(header):
    """Wrong replies, unknown handles, forbidden requests and broken JSON end in VIOLATION, and stay so."""
    with Hostile(frame(header)) as wall:
        for _ in range(2):
            with pytest.raises(Violation):
                wall.request("ping")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=300))
def test_arbitrary_replies_never_do_more(data):
    """Arbitrary bytes in place of a reply end in a fault of the student's."""
    with Hostile(data, close=True) as wall, pytest.raises((Violation, Crashed)):
        wall.request("ping")


def test_a_guest_that_says_nothing_runs_out_of_time():
    """Silence costs the time that is given, and the wall is spoiled after it."""
    with Hostile() as wall:
        wall.extend(0.05)
        for _ in range(2):
            with pytest.raises(OutOfTime):
                wall.request("ping")


def test_a_flood_of_requests_runs_out_of_time():
    """A guest that asks and asks, faster than it is answered, does not keep the host from looking at the clock."""
    ours, theirs = socket.socketpair()
    wall = Wall(ours, seconds=-1)
    call = frame(b'{"q":1,"op":"call","a":[{"m":2}],"k":{}}')
    with ours, theirs:
        for _ in range(20):
            theirs.sendall(call)
        calls = []
        with pytest.raises(OutOfTime):
            wall.request("call", [lambda: calls.append(1)])
    assert len(calls) == 1


@pytest.mark.parametrize("seconds", [10**400, float("inf"), float("nan"), -1, "1", None, True])
def test_what_a_guest_says_of_a_cell_is_bounded(seconds):
    """A number that no float can hold, or a line that no cell has, is left out of what is kept of a cell."""
    error = {"type": 7, "message": ["x"], "at": [0, 10**4000, "x"]}
    found = _cell_result(CodeCell(index=3, source="x"), {"seconds": seconds, "error": error, "outputs": [1, {}]}, 100)
    assert 0 <= found.seconds <= 1
    assert [(output.name, output.text) for output in found.outputs] == [("stdout", ""), ("Error", "")]


def test_a_gradient_of_another_shape_is_a_violation():
    """What comes back as a gradient must be one."""
    reply = b'{"r":1,"v":{"t":0},"node":{"id":4,"in":[2],"own":false,"outs":[0]}}'
    wrong = b'{"r":3,"v":{"l":[9,{"t":0}]}}'
    with Hostile(frame(reply, save({"0": torch.ones(3)})), frame(wrong, save({"0": torch.ones(7)}))) as wall:
        x = torch.ones(3, requires_grad=True)
        out, _ = wall.request("call", [x])
        with pytest.raises(Violation):
            out.sum().backward()


@pytest.mark.parametrize(
    ("call", "changed"),
    [
        ("replaces(xs)", ["0"]),
        ("grows(xs)", ["0"]),
        ("nested(d)", ["0.inner"]),
        ("writes(d)", ["0.w"]),
        ("reads(xs)", []),
        ("reads(d)", []),
    ],
)
def test_changed_containers_are_seen(call, changed):
    """A replaced, added or written-to item of a list or dict argument is told by its path; reading tells nothing."""
    with notebook("""
        def replaces(xs): xs[0] = xs[0] + 1
        def grows(xs): xs.append(1)
        def nested(d): d["inner"].pop()
        def writes(d): d["w"].add_(1)
        def reads(xs): return len(xs), list(xs)
    """) as wall:
        name, argument = call.rstrip(")").split("(")
        value = {"xs": [torch.ones(2), 3], "d": {"w": torch.ones(2), "inner": [1, 2]}}[argument]
        function = getattr(Student(wall), name)
        _, facts = wall.request("call", [function, value], options={"watch": True})
        assert facts["mutated"] == changed
