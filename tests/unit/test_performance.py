"""Performance checks with a notebook and a reference in threads of this process.

Nothing here depends on how busy the machine is: what is slow is slow a hundredfold, and exact meters are exact.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys

import pytest
import torch
from in_process import notebook

from grader.checks import Each, counts, grows, holds, race, ramp
from grader.checks.performance import TooNoisy, _Cost, _Duel, machine
from grader.sandbox.watch import tree_of
from grader.wall.faults import Forbidden, Mismatch
from grader.wall.host import Student
from grader.wall.session import Budget, Policy, prepare

BASE = """
import time
def work(x):
    time.sleep(0.001)
    return 2 * x
def scale(model, x):
    return model(x)
model = torch.nn.Linear(2, 2)
"""


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Nothing here ends for want of time: no guest tells how long it stood in line on a busy machine."""
    monkeypatch.setattr(Budget, "wall", staticmethod(lambda _cpu_s: 600.0))


@contextlib.contextmanager
def sides(source):
    """The student's names and the reference's, each behind a wall of its own."""
    with notebook(BASE + source) as own, notebook(BASE) as other:
        yield Student(own), Student(other), own


def some():
    return (torch.rand(8),)


def test_as_fast_as_the_reference_keeps_the_points():
    """What takes as long as the reference is within twenty times of it, after nine pairs at least."""
    with sides("") as (student, reference, wall):
        race(student.work, reference.work, some, at_most=20)
        (measured,) = wall.measurements
    assert (measured.share, measured.kind, measured.unit) == (1.0, "time", "× the reference")
    assert measured.pairs >= 9
    assert measured.machine["cores"] >= 1


WATCHED = """
from torch.overrides import _get_current_function_mode_stack as names
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack as operators
def work(x):
    return torch.tensor([len(names()), len(operators())])
def soft(x):
    return x.softmax(0)
"""


@pytest.mark.parametrize("ops", [(), ("aten::_softmax",)])
def test_what_watching_costs_is_paid_by_both_sides(ops):
    """The reference computes under as many modes as the student, each time, and nothing is forbidden to it."""
    policy = Policy(names=("torch.Tensor.softmax",), ops=ops)
    with sides(WATCHED) as (student, _, own), notebook(WATCHED) as other:
        reference = Student(other)
        prepare(own, 1, policy)
        prepare(other, 1, policy.idle)
        modes, _ = own.timed("call", [student.work, *some()])
        assert modes.tolist() == [1, len(ops)]
        for times in (1, 3):
            assert torch.equal(other.timed("repeat", [times, reference.work, *some()])[0], modes)
        other.timed("repeat", [1, reference.soft, *some()])
        with pytest.raises(Forbidden):
            own.timed("call", [student.soft, *some()])


def test_both_sides_are_bound_to_one_core_for_the_length_of_a_race():
    """Something that keeps another core busy slows both or none. Helpers of a guest's are bound with it."""
    shell = ["sh", "-c", "sleep 100 & echo; wait"]
    with contextlib.ExitStack() as stack:
        student, reference, wall = stack.enter_context(sides(""))
        guests = [stack.enter_context(subprocess.Popen(shell, stdout=subprocess.PIPE)) for _ in range(2)]
        for guest in guests:
            stack.callback(lambda guest=guest: [os.kill(pid, signal.SIGKILL) for pid in tree_of(guest.pid)])
            guest.stdout.readline()
        wall.root, reference._wall.root = (guest.pid for guest in guests)
        everyone = [pid for guest in guests for pid in tree_of(guest.pid)]
        seen = set()

        def look(*_):
            seen.add(tuple(frozenset(os.sched_getaffinity(pid)) for pid in everyone))

        race(student.work, reference.work, some, at_most=20, verify=look)
        assert len(everyone) == 4
        ((core, *cores),) = seen
        assert len(core) == 1
        assert set(cores) == {core}
        assert {frozenset(os.sched_getaffinity(pid)) for pid in everyone} == {frozenset(os.sched_getaffinity(0))}


@pytest.mark.parametrize("guess", [0.1, 1.15])
@pytest.mark.parametrize(
    ("truth", "calls"), [(0.5, "one"), (0.5, "most"), (1, "one"), (1, "most"), (7, "one"), (7, "most"), (20, "most")]
)
def test_a_race_is_lost_by_the_work_alone(monkeypatch, truth, guess, calls):
    """A call of a fiftieth of what the wall costs, a wrong guess at that cost, a first race with too many calls."""
    wall_s, call_s, coins = 5e-4, 1e-5, random.Random(1)

    def pair(duel, _args):
        noise = [wall_s * coins.uniform(0.9, 1.1) for _ in range(2)]
        took = noise[0] + truth * call_s, noise[1] + duel.calls * call_s
        return tuple(_Cost(seconds, seconds) for seconds in took)

    def level(duel, _inputs, most, *_, **__):
        duel.calls = most if calls == "most" else 1

    monkeypatch.setattr(_Duel, "pair", pair)
    monkeypatch.setattr(_Duel, "level", level)
    monkeypatch.setattr(_Duel, "prepare", lambda *_: _Cost(guess * wall_s, guess * wall_s))
    lost = pytest.raises(Mismatch) if truth > 10 else contextlib.nullcontext()
    with sides("") as (student, reference, wall), lost:
        race(student.work, reference.work, some, at_most=10)
    assert wall.measurements[0].share == (truth <= 10)


@pytest.mark.parametrize(
    ("cpu", "waits", "share", "clear"),
    [(9, 1, 0.0, True), (7, 1, 0.5, True), (5, 1, 1.0, False), (None, 1, 1.0, False), (9, 3, 1.0, False)],
)
def test_cpu_time_decides_what_the_clock_cannot(monkeypatch, cpu, waits, share, clear):
    """Where half of the pairs are over the limit in time, CPU time tells whether the student is; not of who waits."""
    coins = random.Random(1)

    def pair(duel, _args):
        took = 0.3 if coins.random() < 0.5 else 0.01
        return _Cost(waits * took, (cpu or 0) * 0.01), _Cost(0.01 * waits * duel.calls, 0.01 * duel.calls)

    monkeypatch.setattr(_Duel, "pair", pair)
    monkeypatch.setattr(_Duel, "level", lambda duel, *_, **__: setattr(duel, "calls", 4))
    monkeypatch.setattr(_Duel, "prepare", lambda *_: _Cost(0.0, 0.0))
    lost = contextlib.nullcontext() if share else pytest.raises(Mismatch, match=r"takes 9 times as long .* at most 8")
    with sides("") as (student, reference, wall), lost:
        race(student.work, reference.work, some, at_most={6: 1.0, 8: 0.5})
    (measured,) = wall.measurements
    assert (measured.share, measured.clear) == (share, clear)


def test_far_slower_loses_them_and_is_told():
    """What sleeps two hundred times as long is over a limit of two, and the student reads by how much."""
    slow = "def slow(x):\n    time.sleep(0.2)\n    return 2 * x"
    with sides(slow) as (student, reference, wall):
        with pytest.raises(Mismatch, match=r"takes \d+ times as long .* at most 2 times is allowed") as caught:
            race(student.slow, reference.work, some, at_most=2)
        assert wall.measurements[0].share == 0.0
    assert caught.value.kind == "time"


def test_a_quick_wrong_answer_is_a_wrong_answer():
    """Every timed answer is compared: being empty when the clock runs gains nothing."""
    empty = """
calls = 0
def sly(x):
    global calls
    calls += 1
    return 2 * x if calls < 6 else torch.zeros_like(x)
"""
    with sides(empty) as (student, reference, _), pytest.raises(Mismatch, match="In a timed call"):
        race(student.sly, reference.work, some, at_most=20)


def test_lower_precision_is_a_wrong_answer():
    """bfloat16 inside is off by more than float32 sums may be."""
    half = "def half(x):\n    return (2.1 * x.bfloat16()).float() / 1.05"
    with sides(half) as (student, reference, _), pytest.raises(Mismatch, match="In a timed call"):
        race(student.half, reference.work, some, at_most=20)


def test_random_answers_are_looked_at_by_the_check():
    """``verify`` gets the answer, the reference's, and the arguments."""
    seen = []
    with sides("") as (student, reference, _):
        race(student.work, reference.work, some, at_most=20, verify=lambda *each: seen.append(each))
    assert all(torch.equal(answer, due) and torch.equal(due, 2 * x) for answer, due, x in seen)
    assert len(seen) >= 9


def test_each_side_has_its_own_model():
    """A model behind the wall is that of the side which is called."""
    with sides("") as (student, reference, wall):
        model = Each(student.model, reference.model)
        model.own.load_state_dict(state := {"weight": torch.eye(2), "bias": torch.zeros(2)})
        model.reference.load_state_dict(state)
        race(student.scale, reference.scale, lambda: (model, torch.rand(3, 2)), at_most=1000)
        assert wall.measurements[0].share == 1.0


def test_growth_is_fitted():
    """A steep time is over an exponent of 0.2; a constant one is within it."""
    steep = "def grow(x):\n    time.sleep((len(x) / 64) ** 4 * 0.3)\n    return 2 * x"
    with sides(steep) as (student, reference, wall):
        with pytest.raises(Mismatch, match="grows like size to the power of"):
            grows(student.grow, reference.work, lambda n: (torch.rand(n),), sizes=(16, 64), at_most=0.2)
        (measured,) = wall.measurements
        grows(student.work, reference.work, lambda n: (torch.rand(n),), sizes=(16, 64), at_most=1.5)
    assert [size for size, _ in measured.curve] == [16.0, 64.0]


def test_operators_are_counted_exactly():
    """A loop has as many operators as rows, and a ramp gives a part of the points for it."""
    loop = "def loop(x):\n    return torch.stack([row * 2 for row in x])"
    with sides(loop) as (student, _, wall):
        counts(student.work, lambda: (torch.rand(20),), at_most=4)
        counts(student.loop, lambda: (torch.rand(20, 2),), at_most={4: 1.0, 40: 0.5})
        with pytest.raises(Mismatch, match="Operators grow like size to the power of"):
            counts(student.loop, lambda n: (torch.rand(n, 2),), at_most=0.3, sizes=(10, 100))
        one, two, three = wall.measurements
    assert (one.share, two.share, three.share) == (1.0, 0.5, 0.0)
    assert dict(two.hints)["aten::mul"] == 20


def test_what_makes_no_sense_is_said():
    """Mistakes of a check's author are errors, and no student's fault."""
    with sides("") as (student, reference, _):
        for mistake, message in (
            (lambda: race(student.work, student.work, some, at_most=2), "must be the reference's"),
            (lambda: race(torch.exp, reference.work, some, at_most=2), "give a function of the student's"),
            (lambda: race(student.work, reference.work, lambda: (len,), at_most=2), "takes plain arguments"),
            (lambda: grows(student.work, reference.work, some, sizes=(4, 8), at_most=2), "at least four times"),
            (lambda: holds(student.work, reference.work, some, at_most=2, unit="pages"), "not in 'pages'"),
            (lambda: counts(student.work, some, at_most=2, of="seconds"), "not 'seconds'"),
        ):
            with pytest.raises(TypeError, match=message):
                mistake()


def test_a_wild_machine_takes_no_points(monkeypatch):
    """A loss that noise could explain is measured again; the second time the student has the benefit of the doubt."""
    drawn = iter([0.002 * (1 if number % 3 else 30) for number in range(10_000)])
    with sides("") as (student, reference, wall):
        honest, other = wall.timed, reference._wall.timed
        monkeypatch.setattr(reference._wall, "timed", lambda op, args: (other(op, args)[0], next(drawn)))
        monkeypatch.setattr(wall, "timed", lambda op, args: (honest(op, args)[0], 0.13))
        wall.last_try = False
        with pytest.raises(TooNoisy, match="spans a factor of"):
            race(student.work, reference.work, some, at_most=ramp(2, 3))
        wall.last_try = True
        race(student.work, reference.work, some, at_most=ramp(2, 3))
        (measured,) = wall.measurements
    assert (measured.share, measured.clear) == (1.0, False)


BURNS = """
import sys, time
for line in sys.stdin:
    end = time.process_time() + float(line)
    while time.process_time() < end:
        pass
    print(flush=True)
"""


@pytest.mark.parametrize("last_try", [False, True])
@pytest.mark.parametrize(("own_s", "share"), [(0.0006, 1.0), (0.0017, 0.5), (0.01, 0.0)])
def test_cpu_time_bears_out_what_was_found_on_a_wild_machine(monkeypatch, own_s, share, last_try):
    """What the kernel's clock of CPU time says too was no noise, at once and for good; what it does not is in doubt."""
    drawn = iter([0.002 * (1 if number % 3 else 30) for number in range(10_000)])
    with contextlib.ExitStack() as stack:
        student, reference, wall = stack.enter_context(sides(""))
        other = reference._wall
        for side, burns_s in ((wall, own_s), (other, 0.002)):
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            guest = stack.enter_context(subprocess.Popen([sys.executable, "-c", BURNS], **pipes))
            stack.callback(guest.kill)
            side.root = guest.pid

            def timed(op, args, *, honest=side.timed, guest=guest, burns_s=burns_s, is_own=side is wall):
                answer, _ = honest(op, args)
                print(burns_s, file=guest.stdin, flush=True)
                guest.stdout.readline()
                return answer, 0.13 if is_own else next(drawn)

            monkeypatch.setattr(side, "timed", timed)
        wall.last_try = last_try
        # When a loss is decided, a request of the reference's holds three calls: 2 ms of CPU time for all of them.
        ends = {0.0: pytest.raises(Mismatch, match="times as long")}
        if not last_try:
            ends |= {0.5: pytest.raises(TooNoisy), 1.0: pytest.raises(TooNoisy)}
        with ends.get(share, contextlib.nullcontext()):
            race(student.work, reference.work, some, at_most={2: 1.0, 3: 0.5})
        if last_try or not share:
            (measured,) = wall.measurements
            assert (measured.share, measured.clear) == (share, not share)


def test_the_machine_tells_what_it_can():
    """Load and cores are always known."""
    assert machine().keys() >= {"load_1m", "cores"}
