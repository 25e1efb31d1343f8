"""Marking one submission: the page to read first.

submission ─ notebook ─ repair ─ guest (runs the cells) ─ wall ─ checks ─ verdicts ─ scoring ─ record
"""

from __future__ import annotations

import contextlib
import functools
import math
import platform
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import torch

from grader import __version__
from grader.checks.run import left_out, run_checks, waits_for
from grader.lane import alone
from grader.model import (
    CellResult,
    CheckResult,
    Flag,
    Hardware,
    Measurement,
    Record,
    Timing,
    Verdict,
)
from grader.notebook import NotANotebook, Notebook, forbidden_uses, read, repair
from grader.sandbox.outside import Restless, held_still
from grader.scoring import LateRule, late_flags, score
from grader.wall.faults import SandboxLost
from grader.wall.session import Budget, CodeCell, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from grader.checks.collect import Collected
    from grader.model import ExerciseSpec
    from grader.sandbox.base import Limits, Sandbox
    from grader.sandbox.gpus import Gpu
    from grader.submissions import Submission
    from grader.wall.host import Wall
    from grader.wall.session import Policy

__all__ = ["Plan", "broken", "grade", "reference_session"]

PARKED_BYTES = 256 << 20
"""A submission with more memory than this, or with a GPU, is loaded anew when its turn in the lane comes."""

LEFT_OUT = {
    "check": "A public check: not run when marking, because all checks are run from outside.",
    "see": "A plot to look at: not run when marking.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that a mark depends on besides the submission; the same for a whole run."""

    exercises: tuple[ExerciseSpec, ...]
    collected: Collected
    released: Notebook | None
    """The notebook that students got, to match cells with; None when marking the reference itself."""
    given: str | None
    files: Mapping[str, bytes]
    sandbox: Sandbox
    limits: Limits
    budget: Budget
    seed: int
    assignment_sha256: str
    late: LateRule | None = None
    hardware: Hardware = field(default_factory=Hardware)
    reference: Callable[[int, Policy | None], Wall] | None = None
    """Gives a wall to a fresh copy of the solution, which timed checks race against."""
    enough: frozenset[str] | None = None
    """As for ``run_checks``: an audit may know enough of a wrong answer when a check has failed."""
    timed: bool = True
    """Whether timed checks are run: an audit marks a right answer with many seeds and need not time it with each."""
    lane: Callable[[bool], AbstractContextManager[None]] = lambda _again: alone()
    """Waits until the machine is this submission's alone; told whether it is for the second time."""


def grade(submission: Submission, plan: Plan, *, reason: str = "first marking") -> Record:
    """Mark one submission.

    Whatever is in it ends in a verdict and a sentence. Raises nothing for what the student did; what is the machine's
    fault becomes BROKEN checks and a held record.
    """
    started = time.monotonic()
    try:
        notebook = _notebook(submission, plan.released)
    except NotANotebook as error:
        unreadable = Flag(id="unreadable", text=str(error), instructor_only=True)  # the student has it as the message
        results = _nothing(plan, str(error))
        return _record(submission, plan, results, (), reason, Timing(), flags=(unreadable,), message=str(error))
    with _session(plan) as session:
        try:
            ran = session.load(_code(notebook))
        except SandboxLost as lost:
            return broken(submission, plan, f"sandbox: {lost}", reason)
        loaded = time.monotonic()
        last = None if plan.collected.timed.checks else functools.partial(session.for_check, last=True)
        results = run_checks(plan.collected.untimed, session.for_check, plan.seed, open_last=last, enough=plan.enough)
        results = _timed(plan, session, results)
    ended = time.monotonic()
    timing = Timing(
        cells_s=loaded - started,
        checks_s=ended - loaded,
        total_s=ended - started,
        guest_cpu_s=session.cpu_s,
        guest_peak_bytes=session.peak_bytes,
    )
    flags = (*notebook.repairs, *_static(notebook, plan), *_remarks(session, ran, results))
    return _record(submission, plan, results, _cells(notebook, ran), reason, timing, flags=flags)


def _notebook(submission: Submission, released: Notebook | None) -> Notebook:
    if submission.problem is not None:
        raise NotANotebook(submission.problem)
    notebook = read(submission.data)
    return notebook if released is None else repair(notebook, released)


def reference_session(plan: Plan, solution: Notebook) -> Session:
    """The solution, loaded: what timed checks race against. It serves all submissions, so its time has no limit."""
    session = _session(replace(plan, budget=replace(plan.budget, submission_s=math.inf)))
    session.load(_code(solution))
    return session


def _session(plan: Plan) -> Session:
    return Session(
        sandbox=plan.sandbox, limits=plan.limits, budget=plan.budget, given=plan.given, files=plan.files, seed=plan.seed
    )


def _timed(plan: Plan, session: Session, results: tuple[CheckResult, ...]) -> tuple[CheckResult, ...]:
    """Add what the timed checks say: in the lane, each beside the reference, in the order of the files.

    What a noisy machine leaves unclear is run again once, when the others of the run are through.
    """
    done = {result.check.id: result for result in results}
    if not plan.timed:
        done |= {spec.id: left_out(spec) for spec in plan.collected.timed.specs}
    for again in (False, True) if plan.timed else ():
        todo = plan.collected.timed
        if again:
            todo = replace(todo, checks=tuple(check for check in todo.checks if done[check.spec.id].kind == "noisy"))
        if not todo.checks:
            continue
        enough = None if again else plan.enough
        if all(waits_for(check.spec, done, enough) for check in todo.checks):
            found = run_checks(todo, _nobody, plan.seed, done=tuple(done.values()), enough=enough)
        else:
            with contextlib.ExitStack() as turn:
                with _parked(session):
                    turn.enter_context(plan.lane(again))
                found = run_checks(
                    todo,
                    session.for_check,
                    plan.seed,
                    done=tuple(done.values()),
                    open_reference=plan.reference,
                    last_try=again,
                    enough=enough,
                )
        done |= {result.check.id: result for result in found}
    return tuple(done[spec.id] for spec in plan.collected.specs)


@contextlib.contextmanager
def _parked(session: Session) -> Iterator[None]:
    """While a submission waits for the lane, none of its processes runs; a large one is not kept in memory."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(held_still(session.park(PARKED_BYTES)))
        except Restless:
            session.close()
        yield


def _nobody(_seed: int, _policy: Policy | None) -> Wall:
    raise SandboxLost("a check was run that waits for others")


def _code(notebook: Notebook) -> list[CodeCell]:
    """The cells to run, in order; check and plot cells are left out."""
    return [
        CodeCell(index=cell.index, source=cell.source)
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.skip is None and cell.source.strip()
    ]


def _cells(notebook: Notebook, ran: Mapping[int, CellResult]) -> tuple[CellResult, ...]:
    """Every cell of the notebook with what it did."""
    found = []
    for cell in notebook.cells:
        result = ran.get(cell.index)
        if result is None:
            code = cell.cell_type == "code"
            status = ("skipped" if cell.skip else "ok") if code else "text"
            note = LEFT_OUT.get(cell.skip or "") if code else None
            result = CellResult(
                index=cell.index, cell_type=cell.cell_type, source=cell.source, status=status, note=note
            )
        found.append(replace(result, exercise=cell.exercise))
    return tuple(found)


def _static(notebook: Notebook, plan: Plan) -> tuple[Flag, ...]:
    """Forbidden names that stand in the source: for the report only, a static finding never takes a point."""
    names: dict[str, set[str]] = {}
    for check in plan.collected.checks:
        names.setdefault(check.spec.exercise, set()).update(check.policy.names if check.policy else ())
    return tuple(forbidden_uses(notebook, names))


def _remarks(session: Session, ran: Mapping[int, CellResult], results: tuple[CheckResult, ...]) -> tuple[Flag, ...]:
    flags = [
        Flag(id="stopped-cell", text=f"Cell {index + 1}: {cell.note}")
        for index, cell in sorted(ran.items())
        if cell.status in ("timeout", "memory", "crash") and cell.note
    ]
    if session.restarts:
        times = "once" if session.restarts == 1 else f"{session.restarts} times"
        text = f"The notebook ended its own process and was started again {times}."
        flags.append(Flag(id="restarted", text=text))
    if any(result.verdict is Verdict.VIOLATION for result in results):
        text = "The submission's process broke the marker's protocol; look at its code."
        flags.append(Flag(id="violation", text=text, instructor_only=True))
    flags += [
        Flag(id="unclear", text=_unclear(result, each), instructor_only=True)
        for result in results
        for each in result.measurements
        if not each.clear
    ]
    flags += [Flag(id="remark", text=text, instructor_only=True) for text in dict.fromkeys(session.remarks)]
    return tuple(flags)


def _unclear(result: CheckResult, measured: Measurement) -> str:
    around = "" if measured.low is None or measured.high is None else f" ({measured.low:.3g} to {measured.high:.3g})"
    return (
        f"{result.check.id} stayed unclear after {measured.pairs} pairs: {measured.value:.3g} {measured.unit}{around}, "
        f"limit {measured.limits[0][0]:g}. The student has the benefit of the doubt."
    )


def _nothing(plan: Plan, why: str) -> tuple[CheckResult, ...]:
    """The verdicts on a submission in which there is no notebook."""
    return tuple(
        CheckResult(check=spec, verdict=Verdict.MISSING, earned=0.0, kind="missing", rationale=why)
        for spec in plan.collected.specs
    )


def broken(submission: Submission, plan: Plan, why: str, reason: str) -> Record:
    """The record of a submission that could not be marked: held, with nothing scored."""
    rationale = "This check could not be run. That is not your fault: your instructor will look at it."
    results = tuple(
        CheckResult(check=spec, verdict=Verdict.BROKEN, earned=0.0, kind="ours", rationale=rationale, evidence=why)
        for spec in plan.collected.specs
    )
    flag = Flag(id="held", text=f"Could not be marked: {why[:500]}", instructor_only=True)
    return _record(submission, plan, results, (), reason, Timing(), flags=(flag,))


def _record(
    submission: Submission,
    plan: Plan,
    results: tuple[CheckResult, ...],
    cells: tuple[CellResult, ...],
    reason: str,
    timing: Timing,
    *,
    flags: tuple[Flag, ...] = (),
    message: str | None = None,
) -> Record:
    lateness = None if plan.late is None else plan.late.of(submission.ref)
    scored = score(results, plan.exercises, lateness=lateness)
    flags = (*flags, *late_flags(lateness))
    if plan.sandbox.name == "none":
        text = "Marked without a sandbox: the student's code ran with the marker's own rights."
        flags = (*flags, Flag(id="unsandboxed", text=text, instructor_only=True))
    limits = {
        name: float(value)
        for part in (plan.limits, plan.budget)
        for name in part.__slots__
        if (value := getattr(part, name)) is not None
    }
    return Record(
        submission=submission.ref,
        status=scored.status,
        score=scored.score,
        max_score=scored.max_score,
        checks=results,
        exercises=scored.exercises,
        steps=scored.steps,
        cells=cells,
        flags=flags,
        message=message,
        seed=plan.seed,
        assignment_sha256=plan.assignment_sha256,
        sandbox=plan.sandbox.name,
        limits=limits,
        timing=timing,
        hardware=plan.hardware,
        marked_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        reason=reason,
    )


def hardware(gpu: Gpu | None = None) -> Hardware:
    """This machine, what guests get of it, and the versions that marks are made with."""
    import os

    name = None if gpu is None else f"{gpu.name}, driver {gpu.driver}"
    versions = {
        "grader": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
    return Hardware(machine=f"{platform.machine()}, {os.cpu_count()} cores", gpu=name, versions=versions)
