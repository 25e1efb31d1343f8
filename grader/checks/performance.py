"""Performance checks: races against the reference, growth with size, memory seen from outside, counted work.

One line each in a check file::

    race(student.conv2d, reference.conv2d, inputs, at_most=40)
    grows(student.attend, reference.attend, inputs, sizes=(1024, 2048, 4096), at_most=1.5)
    holds(student.conv2d, reference.conv2d, inputs, at_most=3)
    counts(student.conv2d, inputs, at_most=300)

Theory of operation. Student and reference are functions in sibling guests: forks of one zygote under the same limits.
Arguments are made anew for each pair of calls and go to both, in an order drawn for each pair. The clock is the host's;
it runs from the first byte out to the last byte in, so that what a call leaves to a thread or to a later call is not
there when its answer is due. What the wall itself costs is measured at the reference's guest, by an echo of the same
bytes, and taken off both sides. Every answer of a timed call is compared with the reference's. While the reference
computes, all processes of the student's are stopped. The student's exercise policy holds in timed calls too.

The CPU time of both sides is read too, and decides where others keep the machine too busy for the host's clock to tell.
Whether a limit is held is decided by ``grader.checks.sequential``; docs/performance-checks.md explains it to people.
"""

from __future__ import annotations

import contextlib
import gc
import math
import os
import random
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch

from grader.model import Measurement
from grader.sandbox.outside import Peak, Restless, held_still, on_cores, ran_s
from grader.wall.faults import Mismatch, StudentFault
from grader.wall.host import Remote, Wall
from grader.wall.session import Budget

from .compare import HEADROOM, close
from .sequential import ENOUGH, WILD, Decision, Series, interval, ramp, slope, spread
from .watch import watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = ["Each", "TooNoisy", "counts", "grows", "holds", "race", "ramp"]

Limits = float | Mapping[float, float]
"""A limit that earns all points, or limits with the share that each earns (``ramp(5, 20)``)."""
WARM = 3
CORES = 4
"""Of so many, at most, the quietest is chosen."""
ECHOES = 7
LEVELS = 5
"""Pairs of each look at how many calls the reference should make, and looks at most."""
CLEARLY = 1.7
"""A request of several calls that takes so many times as long as one of a single call tells what a call takes."""
RACES = 3
"""So often, at most, begins a race that no limit is lost in."""
UNEVEN = 1.6
"""When the requests of one side took so many times as long as the other's, the race begins anew."""
UNSTEADY = math.log(1.5)
"""Quartiles of the reference's own times further apart than this factor: what stays unclear is measured again later."""
LEAST_S = 1e-6
MOST_CALLS = 100
LEAST_BYTES = 4.0 * (1 << 20)
"""Less than this is as good as nothing: pages that were there already, or a huge page of which little is used."""
ROUNDING = 1e-4
"""Relative and absolute, for float32: sums of large arrays in any order. Half precision and TF32 are coarser."""
PATIENCE = 2.0
"""A student who is this much slower than the largest limit still gets all pairs; who is slower runs out of time."""


@dataclass(frozen=True, slots=True)
class Each:
    """An argument of which each side has its own: a model that both made from the same weights."""

    own: Any
    reference: Any


class TooNoisy(Exception):
    """This machine is too noisy to decide now: ours, and measured again at the end of the run."""


def race(
    fn: Any,
    against: Any,
    inputs: Callable[[], Sequence[Any]],
    *,
    at_most: Limits,
    verify: Callable[..., None] | None = None,
) -> None:
    """End the check unless a call takes at most so many times as long as the reference's.

    Args:
        fn: the student's function: ``student.conv2d``.
        against: the function that it is compared with: ``reference.conv2d``, or one of torch's in its guest:
            ``reference.torch.nn.functional.conv2d``. With arguments on a GPU the same race times the GPU.
        inputs: draws the arguments of one call, as a tuple. Called anew for each pair.
        at_most: the largest ratio of the times; or limits with their shares of the points.
        verify: looks at an answer, as ``verify(answer, reference's answer, *arguments)``, instead of ``close``.

    Raises:
        Mismatch: an answer is wrong, or the work is too slow for any points.
        TooNoisy: the machine is too noisy, and there will be another try.
    """
    duel = _Duel(fn, against, verify)
    limits = _limits(at_most)
    with duel:
        duel.bind_to_a_quiet_core(inputs())
        wall = duel.prepare(inputs, max(limits))
        most = _calls(max(limits))
        duel.level(inputs, most, wall.seconds, at_sight=True)
        for turn in range(1, RACES + len(limits) + 1):
            found, own, other, longer = _one_race(duel, inputs, limits, wall)
            lost = [limit for limit in limits if found.series.decision(limit) is Decision.OVER]
            if lost:  # believed where the wall's cost cancels: the student's request takes longer than this many calls
                allowed = _calls(max(lost))
                if duel.calls == allowed:
                    break
                duel.calls = allowed
            elif 1 / UNEVEN < longer < UNEVEN or duel.calls == (1 if longer < 1 else most) or turn >= RACES:
                break
            else:
                duel.level(inputs, most, wall.seconds, at_sight=False)
            duel.give_time()
    wild = spread([math.log(each) for each in other])
    measured = _measured(
        found.series,
        kind="time",
        unit="× the reference",
        own_s=statistics.median(own),
        reference_s=statistics.median(other),
        wall_s=wall.seconds,
        spread=wild,
    )
    sentence = "Your code takes {value} times as long as what it is compared with; {limit} times is allowed."
    _conclude(duel, measured, found, wild, sentence)


def _one_race(
    duel: _Duel, inputs: Callable[[], Sequence[Any]], limits: dict[float, float], wall: _Cost
) -> tuple[_Found, list[float], list[float], float]:
    """Pairs until the verdict is clear: also each side's seconds a call, and the ratio of their requests' times."""
    found = _Found(limits)
    own, other, ahead = [], [], []
    quickest = _Cost(math.inf, 0.0)
    while not found.series.is_done:
        one, two = duel.pair(inputs())
        quickest = min(quickest, two, key=lambda each: each.seconds)
        own.append(_without_wall(one.seconds, wall.seconds))
        other.append(_without_wall(two.seconds, wall.seconds) / duel.calls)
        computed = (_without_wall(each.cpu_s, wall.cpu_s) for each in (one, two))
        found.add(own[-1] / other[-1], _ratio(*computed) * duel.calls)
        ahead.append(one.seconds / two.seconds)
    if quickest.cpu_s < quickest.seconds / 2:  # it waits, for a GPU maybe: CPU time is no measure of such work
        found.cpu = Series(limits)
    return found, own, other, statistics.median(ahead)


def grows(
    fn: Any,
    against: Any,
    inputs: Callable[[int], Sequence[Any]],
    *,
    sizes: Sequence[int],
    at_most: Limits,
    verify: Callable[..., None] | None = None,
) -> None:
    """End the check unless the time grows at most like ``size ** at_most``.

    Each round calls the student's function at every size, in an order drawn for the round, and gives one exponent: the
    slope of log time over log size. The exponents are judged like the ratios of a race.

    Args:
        fn: the student's function.
        against: the reference's, which the answers are compared with.
        inputs: draws the arguments of one call for a size.
        sizes: at least two; the largest at least four times the smallest.
        at_most: the largest exponent; or limits with their shares of the points.
        verify: as for ``race``.

    Raises:
        Mismatch: an answer is wrong, or the time grows too fast for any points.
        TooNoisy: as for ``race``.
    """
    ordered = sorted(sizes)
    if len(ordered) < 2 or ordered[-1] < 4 * ordered[0]:
        raise TypeError("growth needs sizes, the largest at least four times the smallest")
    duel = _Duel(fn, against, verify)
    found = _Found(_limits(at_most))
    curve: dict[int, list[float]] = {size: [] for size in ordered}
    with duel:
        duel.bind_to_a_quiet_core(inputs(ordered[0]))
        wall = {size: duel.prepare(lambda size=size: inputs(size), 20.0, warm=1) for size in ordered}  # type: ignore[misc]
        for size in ordered:
            duel.pair(inputs(size))
        while not found.series.is_done:
            costs, computed = {}, {}
            for size in random.SystemRandom().sample(ordered, len(ordered)):
                # Small ones more often: a short call slips between those of other processes, a long one cannot.
                calls = min(MOST_CALLS, ordered[-1] // size)
                own = [duel.pair(inputs(size))[0] for _ in range(calls)]
                costs[size] = _without_wall(statistics.mean(each.seconds for each in own), wall[size].seconds)
                computed[size] = _without_wall(statistics.mean(each.cpu_s for each in own), wall[size].cpu_s)
                curve[size].append(costs[size])
            found.add(_exponent(costs), _exponent(computed) if min(computed.values()) > 0 else 0.0)
    wild = spread([math.log(each) for each in curve[ordered[-1]]])
    measured = _measured(
        found.series,
        kind="growth",
        unit="exponent",
        spread=wild,
        curve=tuple((float(size), statistics.median(costs)) for size, costs in curve.items()),
    )
    _conclude(duel, measured, found, wild, "The time grows like size to the power of {value}; {limit} is allowed.")


def holds(
    fn: Any,
    against: Any,
    inputs: Callable[..., Sequence[Any]],
    *,
    at_most: Limits,
    unit: str = "× the reference",
    sizes: Sequence[int] = (),
    verify: Callable[..., None] | None = None,
) -> None:
    """End the check unless a call holds little memory at its peak, as the kernel counts it from outside.

    The wall's copies of arguments and answer are in the figures, on both sides. The first call of a fresh copy of the
    notebook is measured, for later ones find memory that was left to them.

    Args:
        fn: the student's function.
        against: the reference's, which the answer is compared with.
        inputs: draws the arguments of one call; with ``sizes``, for a size.
        at_most: the limit, or limits with their shares of the points.
        unit: ``× the reference``, ``bytes``; with ``sizes`` it is the exponent of the growth.
        sizes: measure growth over these sizes.
        verify: as for ``race``.

    Raises:
        Mismatch: an answer is wrong, or too much memory is held for any points.
    """
    if unit not in ("× the reference", "bytes"):
        raise TypeError(f"memory is limited in '× the reference' or in 'bytes', not in {unit!r}")
    limits = Series(_limits(at_most)).limits
    duel = _Duel(fn, against, verify)
    curve = []
    with duel:
        for size in sorted(sizes) if sizes else [None]:
            args = tuple(inputs() if size is None else inputs(size))
            own, other = duel.memory(args)
            curve.append((float(size or 0), float(own), float(other)))
    if sizes:
        unit = "exponent"
        value = slope([size for size, _, _ in curve], [max(own, LEAST_BYTES) for _, own, _ in curve])
    else:
        value = max(curve[0][1], LEAST_BYTES) / max(curve[0][2], LEAST_BYTES) if unit != "bytes" else curve[0][1]
    measured = _exact("memory", unit, value, limits, curve=tuple((size, own) for size, own, _ in curve if sizes))
    sentence = {
        "bytes": "At its peak your code holds {value} bytes; {limit} are allowed.",
        "exponent": "The memory grows like size to the power of {value}; {limit} is allowed.",
    }.get(unit, "At its peak your code holds {value} times as much memory as it should, {limit} times is allowed.")
    _take(duel.wall, measured, sentence, kind="memory")


def counts(
    fn: Any,
    inputs: Callable[..., Sequence[Any]],
    *,
    at_most: Limits,
    of: str = "operators",
    sizes: Sequence[int] = (),
    backward: bool = False,
) -> None:
    """End the check unless a call's operators, FLOPs, live bytes or kernel launches stay within a limit: exact.

    The student's own process counts, so something from outside should stand behind: ``race`` or ``holds``.

    Args:
        fn: the student's function.
        inputs: draws the arguments of one call; with ``sizes``, for a size.
        at_most: the limit, or limits with their shares; with ``sizes`` limits of the exponent.
        of: ``operators``, ``flops``, ``live bytes`` or ``kernel launches``: of these a call makes some on a GPU, none
            on a CPU.
        sizes: measure growth over these sizes.
        backward: count the backward pass too.

    Raises:
        Mismatch: there is too much of it for any points.
    """
    fields = {"operators": "op_count", "flops": "flops", "live bytes": "peak_bytes", "kernel launches": "launches"}
    if of not in fields:
        raise TypeError(f"operators, flops, live bytes or kernel launches can be counted, not {of!r}")
    limits = Series(_limits(at_most)).limits
    curve, seen = [], None
    for size in sorted(sizes) if sizes else [None]:
        args = inputs() if size is None else inputs(size)
        seen = watch(fn, *args, backward=backward, flops=of == "flops", launches=of == "kernel launches")
        count = getattr(seen, fields[of])
        if count is None:
            raise RuntimeError("this guest's torch cannot trace what it launches on the GPU (it needs CUPTI)")
        curve.append((float(size or 0), float(count)))
    unit = "exponent" if sizes else of
    value = slope([size for size, _ in curve], [max(cost, 1.0) for _, cost in curve]) if sizes else curve[0][1]
    assert seen is not None
    kind = {"live bytes": "memory"}.get(of, of)
    measured = _exact(kind, unit, value, limits, curve=tuple(curve) if sizes else (), hints=_hints(seen.ops))
    sentence = f"{of.capitalize()} grow like size to the power of {{value}}; {{limit}} is allowed."
    if not sizes:
        sentence = f"Your code needs {{value}} {of}; {{limit}} are allowed."
    _take(fn._wall_peer, measured, sentence, kind="cost")


# --------------------------------------------------------------------------------------------------------- two sides


@dataclass(frozen=True, slots=True)
class _Cost:
    """What a request took, by the host's clock and by the CPU clocks of the side that computed (0.0: unknown)."""

    seconds: float
    cpu_s: float


class _Found:
    """The same pairs as the host's clock and the CPU clocks saw them."""

    def __init__(self, limits: dict[float, float]) -> None:
        self.series = Series(limits)
        self.cpu = Series(limits)

    def add(self, value: float, by_cpu: float) -> None:
        """Take in one pair; by a clock that nobody can read it is within each limit."""
        self.series.add(value)
        self.cpu.add(by_cpu)


class _Duel:
    """The student's function and the reference's, called with the same arguments."""

    def __init__(self, fn: Any, against: Any, verify: Callable[..., None] | None) -> None:
        if type(fn) is not Remote or type(against) is not Remote:
            raise TypeError("give a function of the student's and one of the reference's: student.f, reference.f")
        self.fn, self.against = fn, against
        self.wall: Wall = fn._wall_peer
        self.other: Wall = against._wall_peer
        if self.wall is self.other:
            raise TypeError("the second function must be the reference's: take the fixture `reference`")
        self.verify = verify
        self.coins = random.SystemRandom()
        self.last_args: tuple[Any, ...] = ()
        self.calls = 1
        self.race_s = 0.0

    def __enter__(self) -> Self:
        self._collects = gc.isenabled()
        gc.disable()
        return self

    def __exit__(self, *_: object) -> None:
        self._bind(os.sched_getaffinity(0))
        if self._collects:
            gc.enable()

    def _bind(self, cores: Iterable[int]) -> None:
        """Have both sides run on these cores only."""
        for wall in (self.wall, self.other):
            if (pid := _root(wall)) is not None:
                on_cores(pid, set(cores))

    def bind_to_a_quiet_core(self, args: Sequence[Any]) -> None:
        """Have both sides run on one core from now on: of a few, that on which the reference is quickest."""
        args = _plain(args)
        took = {}
        cores = sorted(os.sched_getaffinity(0))
        for core in self.coins.sample(cores, min(len(cores), CORES)):
            self._bind([core])
            took[core] = statistics.median(self._reference(args)[1].seconds for _ in range(WARM))
        self._bind([min(took, key=took.__getitem__)])

    def prepare(self, inputs: Callable[[], Sequence[Any]], limit: float, *, warm: int = WARM) -> _Cost:
        """Call the reference a few times, give both sides time for a whole race; what the wall costs."""
        times = []
        args: tuple[Any, ...] = ()
        answer: Any = None
        for _ in range(warm):
            args = _plain(inputs())
            answer, took = self._reference(args)
            times.append(took.seconds)
        self.race_s = 1.5 * ENOUGH * min(times) * (1 + PATIENCE * limit)
        self.give_time()
        with self._still():
            self.other.timed("keep", [answer])
            echoes = [self._ask(self.other, "echo", _side(args, own=False))[1] for _ in range(ECHOES)]
        return _Cost(min(each.seconds for each in echoes), min(each.cpu_s for each in echoes))

    def give_time(self) -> None:
        """Give both sides time for a race, beyond what the check has."""
        for wall in (self.wall, self.other):
            left = wall.cpu_limit_s if math.isfinite(wall.cpu_limit_s) else 0.0
            wall.extend(Budget.wall(left + self.race_s), left + self.race_s if left else math.inf)

    def level(self, inputs: Callable[[], Sequence[Any]], most: int, wall_s: float, *, at_sight: bool) -> None:
        """From now on a request lets the reference compute several times, so that both sides take about as long.

        ``most`` times for a student who is too slow; once where the first pairs look even, are not mostly the wall's
        own cost, and that is believed ``at_sight``: the race will show.

        On a busy machine a long call shares its core with others and a short one often does not: their ratio would
        say more of the machine than of the work. And what the echo misses of the wall's cost is then in both alike.

        What one call takes is told by a request of several against a request of one, in which all of the wall's cost
        cancels: of so many that the one takes clearly longer, for the difference of two that take alike is noise.
        """
        self.calls = 1
        pairs = [self._seconds(inputs) for _ in range(WARM)]
        mostly_work = statistics.median(other for _, other in pairs) > 2 * wall_s
        if at_sight and mostly_work and statistics.median(own / other for own, other in pairs) < UNEVEN:
            return
        own, once = (min(times) for times in zip(*pairs, strict=True))
        if own >= most * once:  # too slow
            self.calls = most
            return
        several, longer = 1, 0.0
        while several < MOST_CALLS and longer < CLEARLY:
            several *= 2
            found = []
            for _ in range(LEVELS):
                self.calls = 1
                _, once = self._seconds(inputs)
                self.calls = several
                _, more = self._seconds(inputs)
                found.append((more / once, (more - once) / (several - 1)))
            longer, each = (statistics.median(figures) for figures in zip(*found, strict=True))
        self.calls = 1
        for _ in range(LEVELS):
            pairs = [self._seconds(inputs) for _ in range(LEVELS)]
            behind = statistics.median(own - other for own, other in pairs) / max(each, LEAST_S)
            calls = max(1, min(round(self.calls + behind), most))
            if abs(calls - self.calls) <= calls / 8:
                break
            self.calls = calls

    def _seconds(self, inputs: Callable[[], Sequence[Any]]) -> tuple[float, float]:
        own, other = self.pair(inputs())
        return own.seconds, other.seconds

    def pair(self, args: Sequence[Any]) -> tuple[_Cost, _Cost]:
        """One call of each, in an order that is drawn; what both took, the answer verified."""
        self.last_args = args = _plain(args)
        if self.coins.random() < 0.5:
            answer, own = self._own(args)
            due, other = self._reference(args)
        else:
            due, other = self._reference(args)
            answer, own = self._own(args)
        self._look(answer, due, args)
        return own, other

    def memory(self, args: Sequence[Any]) -> tuple[int, int]:
        """One call of each; the bytes by which the memory of both rose, the answer verified."""
        args = _plain(args)
        with Peak(self.wall.guest) as own:
            answer, _ = self._own(args)
        with Peak(self.other.guest, self.other.root) as other:
            due, _ = self.other.timed("call", [self.against, *_side(args, own=False)])
        self._look(answer, due, args)
        return own.grown_bytes, other.grown_bytes

    def _own(self, args: Sequence[Any]) -> tuple[Any, _Cost]:
        return self._ask(self.wall, "call", [self.fn, *_side(args, own=True)])

    def _reference(self, args: Sequence[Any]) -> tuple[Any, _Cost]:
        with self._still():
            return self._ask(self.other, "repeat", [self.calls, self.against, *_side(args, own=False)])

    @staticmethod
    def _ask(wall: Wall, op: str, args: list[Any]) -> tuple[Any, _Cost]:
        before = _ran_s(wall)
        answer, seconds = wall.timed(op, args)
        return answer, _Cost(seconds, max(0.0, _ran_s(wall) - before))

    @contextlib.contextmanager
    def _still(self) -> Iterator[None]:
        try:
            with held_still(self.wall.guest):
                yield
        except Restless:
            what = "Your code goes on starting processes while it is not asked for anything."
            raise Mismatch(what, kind="time") from None

    def _look(self, answer: Any, due: Any, args: Sequence[Any]) -> None:
        measured, HEADROOM.measured = HEADROOM.measured, False  # the room of a performance check is that of its limit
        try:
            if self.verify is not None:
                self.verify(answer, due, *_side(args, own=True))
            elif isinstance(due, torch.Tensor) and due.dtype is torch.float32:
                close(answer, due, rtol=ROUNDING, atol=ROUNDING)
            else:
                close(answer, due)
        except Mismatch as wrong:
            what = f"In a timed call: {wrong.rationale}"
            raise Mismatch(what, kind=wrong.kind, evidence=wrong.evidence) from wrong
        finally:
            HEADROOM.measured = measured


def _root(wall: Wall) -> int | None:
    """The first process behind a wall, where there is one."""
    if wall.guest is None:
        return wall.root
    with contextlib.suppress(OSError):  # gone: the wall will say so
        return wall.guest.pid
    return None


def _ran_s(wall: Wall) -> float:
    """The CPU time behind a wall so far; 0.0 where nobody can tell."""
    root = _root(wall)
    return 0.0 if root is None else ran_s(root)


def _plain(args: Sequence[Any]) -> tuple[Any, ...]:
    if any(callable(arg) and type(arg) is not Remote for arg in args):
        raise TypeError("a timed call takes plain arguments: what a function of the host's costs is not the student's")
    return tuple(args)


def _side(args: Sequence[Any], *, own: bool) -> list[Any]:
    """The arguments as one side gets them."""
    return [(arg.own if own else arg.reference) if type(arg) is Each else arg for arg in args]


# ---------------------------------------------------------------------------------------------------------- verdicts


def _calls(limit: float) -> int:
    """How many calls of the reference take as long as a limit allows one of the student's to take, rounded down."""
    return max(1, min(math.floor(limit), MOST_CALLS))


def _without_wall(seconds: float, wall_s: float) -> float:
    """What a request took without the wall's cost, of which never more than half of the request is taken off."""
    return max(seconds - wall_s, seconds / 2)


def _exponent(costs: Mapping[int, float]) -> float:
    """That of costs by size."""
    return slope([float(size) for size in costs], list(costs.values()))


def _ratio(own: float, other: float) -> float:
    """Of CPU times, which may be unknown: then 0.0, which is within every limit."""
    return own / other if own > 0 and other > 0 else 0.0


def _limits(at_most: Limits) -> dict[float, float]:
    return dict(at_most) if isinstance(at_most, Mapping) else {float(at_most): 1.0}


def _measured(series: Series, *, kind: str, unit: str, **more: Any) -> Measurement:
    return Measurement(
        kind=kind,
        of="",
        unit=unit,
        limits=tuple(series.limits.items()),
        pairs=len(series.values),
        machine=machine(),
        **_figures(series),
        **more,
    )


def _figures(series: Series) -> dict[str, Any]:
    """What a series says: the fields of a ``Measurement``."""
    low, high = interval(series.values)
    return {
        "value": series.median,
        "low": low if math.isfinite(low) else None,
        "high": high if math.isfinite(high) else None,
        "share": series.share,
        "clear": series.is_clear,
    }


def _exact(
    kind: str,
    unit: str,
    value: float,
    limits: dict[float, float],
    *,
    curve: tuple[tuple[float, float], ...],
    hints: tuple[tuple[str, int], ...] = (),
) -> Measurement:
    share = next((share for limit, share in limits.items() if value <= limit), 0.0)
    return Measurement(
        kind=kind, of="", unit=unit, value=value, low=value, high=value, limits=tuple(limits.items()), share=share,
        pairs=1, curve=curve, hints=hints,
    )  # fmt: skip


def _conclude(duel: _Duel, measured: Measurement, found: _Found, wild: float, sentence: str) -> None:
    """Doubt what a noisy machine says, then take the measurement in.

    The clocks of CPU time stand still while others have the core. What they find over a limit is over it where the
    host's clock cannot tell; and where that did find somebody over it, a wild machine is believed as far as they agree.
    """
    series, cpu = found.series, found.cpu
    # A loss is beyond doubt when all of the interval lies further above the limit than such noise reaches.
    near = measured.low is None or measured.low < min(series.limits) * math.exp(wild)
    wildly_lost = wild > WILD and near and measured.share < cpu.share
    if not measured.clear and cpu.share < measured.share:
        measured = replace(measured, **_figures(cpu))
    doubtful = wildly_lost or (not measured.clear and wild > UNSTEADY)
    if doubtful and not duel.wall.last_try:
        raise TooNoisy(f"the middle half of the reference's times spans a factor of {math.exp(wild):.1f}")
    if wildly_lost:
        measured = replace(measured, share=cpu.share, clear=False)
    if measured.share < max(series.limits.values()):
        with contextlib.suppress(StudentFault):  # a hint only
            duel.wall.extend(Budget.wall(20.0), 20.0)
            measured = replace(measured, hints=_hints(watch(duel.fn, *_side(duel.last_args, own=True)).ops))
    _take(duel.wall, measured, sentence, kind="time")


def _take(wall: Wall, measured: Measurement, sentence: str, *, kind: str) -> None:
    """Note a measurement, and end the check if it earns nothing."""
    wall.measurements.append(measured)
    first = measured.limits[0][0]
    if HEADROOM.measured and first > 0:
        HEADROOM.note(max(measured.value, 0.0) / first)
    if measured.share <= 0:
        last = measured.limits[-1][0]
        raise Mismatch(sentence.format(value=_number(measured.value), limit=f"at most {_number(last)}"), kind=kind)


def _number(value: float) -> str:
    """``0.52``, ``1.7``, ``61``, ``1,200,000``: as many digits as mean something."""
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.2g}"


def _hints(ops: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    most = sorted(ops.items(), key=lambda item: (-item[1], item[0]))[:5]
    return tuple((name, min(count, 1 << 53)) for name, count in most)


def machine() -> dict[str, float]:
    """What can be read of the machine's load, frequency and heat. What it does not tell is left out."""
    facts = {"load_1m": os.getloadavg()[0], "cores": float(os.cpu_count() or 1)}
    with contextlib.suppress(OSError, ValueError, statistics.StatisticsError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        facts["mhz"] = statistics.mean(float(line.split(":")[1]) for line in lines if line.startswith("cpu MHz"))
    with contextlib.suppress(OSError, ValueError):
        counted = Path("/sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle/core_throttle_count")
        if counts := [float(path.read_text()) for path in counted]:
            facts["throttled"] = sum(counts)
    with contextlib.suppress(OSError, ValueError):
        if heat := [float(path.read_text()) for path in Path("/sys/class/thermal").glob("thermal_zone*/temp")]:
            facts["celsius"] = max(heat) / 1000
    return facts
