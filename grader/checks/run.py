"""Run the checks of one submission and say of each whose fault its outcome is.

Theory of operation. An exception that is a fault of the student's (``grader.wall.faults``) is its verdict. A failed
assertion is FAIL. Any *other* exception in a test, once the student's code has answered, comes from what it answered
(``out.shape`` of a list): the reference has passed the same test on the same inputs before the class was marked, so
the test is not at fault. Everything in the machine's hands (memory, files, the sandbox) is BROKEN: run once more, and
if it stays so the record is held.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
import traceback
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.autograd.gradcheck import GradcheckError

from grader.errors import CourseError, GraderError, Place
from grader.guest.worker import seed_everything
from grader.model import CheckResult, CheckSpec, Verdict, Visibility
from grader.wall.faults import NotWritten, OutOfGpuMemory, Raised, SandboxLost, StudentFault
from grader.wall.host import Student, Wall

from .collect import Check, CheckFile, Collected, gather, shown
from .compare import HEADROOM
from .performance import TooNoisy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from grader.model import ExerciseSpec
    from grader.wall.session import Policy

__all__ = ["Runner", "check_seed", "left_out", "run_checks", "waits_for"]

OURS = (
    *(TooNoisy, MemoryError, OSError, SandboxLost, GraderError),
    *(ImportError, NameError, SyntaxError, pytest.UsageError),
)
EVIDENCE_MOST = 4_000


@dataclass(slots=True)
class Current:
    """The check that is running and the wall to its copy of the notebook."""

    wall: Wall
    seed: int
    reference: Wall | None = None
    """The wall to the reference, in a guest of its own; for timed checks."""


class Runner:
    """The pytest plugin: collects, hands over, and gives tests their fixtures."""

    def __init__(
        self,
        files: Sequence[CheckFile],
        exercises: Sequence[ExerciseSpec],
        use: Callable[[Collected], None],
        only: str | None,
    ) -> None:
        self.files = files
        self.exercises = exercises
        self.use = use
        self.only = only
        self.error: BaseException | None = None
        self.used = False
        self.current: Current | None = None
        self.calls: list[pytest.CallInfo[Any]] = []

    # -- pytest's hooks --------------------------------------------------------------------------------------------

    def pytest_configure(self, config: pytest.Config) -> None:
        """Declare our marker."""
        config.addinivalue_line("markers", "check: a check of an assignment")

    def pytest_exception_interact(self, call: pytest.CallInfo[Any], report: pytest.CollectReport) -> None:
        """A check file that cannot be imported is the course's error, with its place."""
        if isinstance(report, pytest.CollectReport) and call.excinfo is not None and self.error is None:
            self.error = _unreadable(call.excinfo.value, [file.path for file in self.files], report.nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of running all items once: hand them over."""
        if self.error is not None:
            return True
        try:
            checks = gather(session.items, self.files, self.exercises, self.only)
            self.used = True
            self.use(Collected(checks=tuple(checks), runner=self))
        except BaseException as error:  # noqa: BLE001 - pytest would swallow it; ``collecting`` raises it again
            self.error = error
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[Any]) -> pytest.TestReport:
        """Keep the exceptions themselves; pytest's own text of them would cost more than most checks."""
        self.calls.append(call)
        return pytest.TestReport(
            nodeid=item.nodeid,
            location=item.location,
            keywords={},
            outcome="passed" if call.excinfo is None else "failed",
            longrepr=None,
            when="call" if call.when == "collect" else call.when,
        )

    @pytest.fixture
    def student(self) -> Student:
        """The notebook's names, behind the wall."""
        return Student(self._now().wall)

    @pytest.fixture
    def reference(self) -> Student:
        """The solution's names, in a guest of its own. A check that takes it is timed: see ``performance``."""
        wall = self._now().reference
        if wall is None:
            raise GraderError("a timed check was run without a reference")
        return Student(wall)

    @pytest.fixture
    def device(self) -> torch.device:
        """``cuda`` where guests of this run have a GPU, else ``cpu``. Tensors get there with ``on``."""
        return self._now().wall.device

    @pytest.fixture
    def rng(self) -> torch.Generator:
        """A generator seeded from the run and the check."""
        return torch.Generator().manual_seed(self._now().seed)

    @pytest.fixture
    def given(self) -> Any:
        """The assignment's given.py, loaded beside the student's code."""
        value, _ = self._now().wall.request("loaded")
        return value

    def _now(self) -> Current:
        if self.current is None:
            raise GraderError("a check's fixture was used outside a check")
        return self.current

    # -- one check -------------------------------------------------------------------------------------------------

    def run(
        self, check: Check, wall: Wall, seed: int, reference: Wall | None = None
    ) -> tuple[Verdict, BaseException | None, str]:
        """Run all items of a check on one wall: verdict, what ended it, evidence."""
        self.current = Current(wall, seed, reference)
        before = wall.replies
        found: list[tuple[Verdict, BaseException | None, str]] = []
        try:
            for item in check.items:
                seed_everything(seed)
                self.calls.clear()
                with _defaults():
                    item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
                answered = wall.replies > before
                errors = [(call.excinfo.value, call.when) for call in self.calls if call.excinfo is not None]
                found = [self._judge(error, when, wall, answered=answered) for error, when in errors]
                if found:
                    break
        finally:
            self.current = None
            self.calls.clear()
        if wall.fault is not None:
            # Whatever the test made of it: a spoiled wall decides.
            return self._judge(wall.fault, "call", wall, answered=True)
        if reference is not None and reference.fault is not None:
            return Verdict.BROKEN, reference.fault, f"the reference: {reference.fault}"
        if not found:
            return Verdict.PASS, None, ""
        return next((each for each in found if each[0] is Verdict.BROKEN), found[0])

    def _judge(
        self, error: BaseException, when: str, wall: Wall, *, answered: bool
    ) -> tuple[Verdict, BaseException | None, str]:
        evidence = "".join(traceback.format_exception_only(error)).strip()
        detail = getattr(error, "evidence", None)
        evidence = f"{evidence}\n{detail}" if detail else evidence
        evidence = "\n".join([evidence, *wall.remarks])[:EVIDENCE_MOST]
        if isinstance(error, StudentFault):
            return error.verdict, error, evidence
        if isinstance(error, KeyboardInterrupt):
            raise error
        if when != "call" or isinstance(error, (*OURS, pytest.skip.Exception)):
            return Verdict.BROKEN, error, evidence + "\n" + "".join(traceback.format_tb(error.__traceback__, -4))
        if isinstance(error, AssertionError | GradcheckError | pytest.fail.Exception) or answered:
            return Verdict.FAIL, error, evidence[:EVIDENCE_MOST]
        return Verdict.BROKEN, error, evidence


def _unreadable(error: BaseException, paths: Sequence[Path], node: str) -> CourseError:
    """What is wrong with a check file, and in which of its lines."""
    error = error.__cause__ or error
    own = {str(path.resolve()): path for path in paths}
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError):
        frames.append((str(error.filename), error.lineno))
    place = Place(file=node.split("::", maxsplit=1)[0])
    for name, line in frames:
        if name in own:
            place = Place(file=shown(own[name]), line=line)
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    what = f"{type(error).__name__}: {said.strip()}".removesuffix(": ").splitlines()[0]
    remedy = "run it with pytest to see the whole traceback"
    return CourseError(f"cannot be read as a check file: {what}", place=place, remedy=remedy)


OpenWall = Callable[[int, "Policy | None"], Wall]


def run_checks(
    collected: Collected,
    open_wall: OpenWall,
    run_seed: int,
    *,
    done: Sequence[CheckResult] = (),
    open_last: OpenWall | None = None,
    open_reference: OpenWall | None = None,
    last_try: bool = True,
    enough: Collection[str] | None = None,
) -> tuple[CheckResult, ...]:
    """Run every check of a submission in order.

    Args:
        collected: the checks.
        open_wall: gives a wall to a fresh copy of the notebook (``Session.for_check``).
        run_seed: the run's seed; each check's is derived from it.
        done: what was run before, for checks that depend on it.
        open_last: gives the last check its wall instead: to the notebook itself, which nobody needs any more.
        open_reference: gives a wall to a fresh copy of the solution, for timed checks.
        last_try: whether a timed check that a noisy machine leaves unclear is decided, in the student's favour.
        enough: None: all are run. Otherwise these come first, and of the others none is run once a check has failed.
    """
    known = {result.check.id: result for result in done}
    results = []
    order = collected.checks
    if enough is not None:
        order = tuple(sorted(order, key=lambda check: check.spec.id not in enough))
    for check in order:
        waits = waits_for(check.spec, known, enough)
        if waits:
            result = _skipped(check.spec, known[waits])
        else:
            opening = open_last if open_last is not None and check is order[-1] else open_wall
            result = _run_one(collected.runner, check, opening, run_seed, open_reference, last_try)
        results.append(result)
        known[check.spec.id] = result
    return tuple(results)


def waits_for(spec: CheckSpec, known: Mapping[str, CheckResult], enough: Collection[str] | None = None) -> str | None:
    """The check, of those whose results are known, for which this one is not run; None if it may run.

    ``enough`` as for ``run_checks``.
    """
    needs = (*spec.depends, *(() if enough is None or spec.id in enough else known))
    return next((each for each in needs if each in known and known[each].verdict is not Verdict.PASS), None)


def _run_one(
    runner: Runner,
    check: Check,
    open_wall: OpenWall,
    run_seed: int,
    open_reference: OpenWall | None,
    last_try: bool,
) -> CheckResult:
    seed = check_seed(run_seed, check.spec.id)
    started, computing = time.monotonic(), time.process_time()
    wall: Wall | None = None
    attempt = 0
    while attempt < 2:
        attempt += 1
        HEADROOM.largest = None
        error: BaseException | None
        wall = reference = None
        try:
            wall = open_wall(seed, check.policy)
            wall.last_try = last_try
            if check.spec.timed and open_reference is not None:
                reference = open_reference(seed, check.policy and check.policy.idle)
            verdict, error, evidence = runner.run(check, wall, seed, reference)
        except SandboxLost as lost:
            verdict, error, evidence = Verdict.BROKEN, lost, f"sandbox: {lost}"
        except StudentFault as fault:
            verdict, error, evidence = fault.verdict, fault, fault.evidence or ""
        finally:
            if reference is not None:
                reference.close()
        # Memory on the GPU is shared, and somebody else may just have filled it.
        if isinstance(error, TooNoisy) or not (verdict is Verdict.BROKEN or isinstance(error, OutOfGpuMemory)):
            break
    measured = () if wall is None else tuple(replace(each, of=check.spec.exercise) for each in wall.measurements)
    share = min((each.share for each in measured), default=1.0)
    seconds = time.monotonic() - started
    if HEADROOM.measured:  # an audit compares it with a limit of computing time, on however busy a machine
        seconds = time.process_time() - computing + (0.0 if wall is None else wall.computed_s())
    result = CheckResult(
        check=check.spec,
        verdict=verdict,
        earned=check.spec.points * share if verdict is Verdict.PASS else 0.0,
        evidence=evidence or None,
        seconds=seconds,
        attempts=attempt,
        headroom=HEADROOM.largest if HEADROOM.measured else None,
        measurements=measured,
    )
    return result if error is None else replace(result, **_told(error, verdict, check.spec))


def _told(error: BaseException, verdict: Verdict, spec: CheckSpec) -> dict[str, Any]:
    """What the student is told of it."""
    if verdict is Verdict.BROKEN:
        return {
            "kind": "noisy" if isinstance(error, TooNoisy) else "ours",
            "rationale": "This check could not be run. That is not your fault: your instructor looks.",
        }
    if isinstance(error, StudentFault):
        told: dict[str, Any] = {"rationale": error.rationale, "kind": error.kind, "misconception": error.misconception}
        if error.at is not None:
            told |= {"student_cell": error.at[0], "student_line": error.at[1], "student_source": error.at[2]}
        if spec.visibility is Visibility.PUBLIC and type(error) is not NotWritten and isinstance(error, Raised):
            told["rationale"] = f"{error.rationale} {error.evidence or ''}".strip()
        return told
    if isinstance(error, GradcheckError):
        return {"kind": "gradient", "rationale": "The gradient is not the derivative of the result."}
    if isinstance(error, pytest.fail.Exception):
        found = re.match(r"DID NOT RAISE (?:any of \()?(?:<class ')?([\w., ]+)", str(error))
        names = " or ".join(name.rpartition(".")[2] for name in found[1].split(", ")) if found else ""
        due = f"An error ({names}) is due here, and none was raised." if found else None
        return {"kind": "error", "rationale": due}
    if isinstance(error, AssertionError):
        return {"kind": "value", "rationale": None}
    if "does not require grad" in str(error) or "not have been used in the graph" in str(error):
        return {
            "kind": "gradient",
            "rationale": "No gradient flows through the result: it does not depend on the input.",
        }
    return {
        "kind": "type",
        "rationale": "What your code returned cannot be used here: is it of the right type and shape?",
    }


def left_out(spec: CheckSpec) -> CheckResult:
    """The result of a check that was not to be run."""
    return CheckResult(check=spec, verdict=Verdict.SKIPPED, earned=0.0, kind="left out")


def _skipped(spec: CheckSpec, waits_for: CheckResult) -> CheckResult:
    text = f"Waits for another check that does not pass yet: “{waits_for.check.line}”"
    due = waits_for.check.id in spec.depends and waits_for.kind != "left out"
    kind = "dependency" if due else "left out"
    return CheckResult(check=spec, verdict=Verdict.SKIPPED, earned=0.0, kind=kind, rationale=text)


def check_seed(run_seed: int, check_id: str) -> int:
    """The seed of one check: the same for every student of a run."""
    return int.from_bytes(hashlib.sha256(f"{run_seed}:{check_id}".encode()).digest()[:6], "big")


@contextlib.contextmanager
def _defaults() -> Iterator[None]:
    """A check that changes torch's global settings does not change them for the next."""
    dtype, grad = torch.get_default_dtype(), torch.is_grad_enabled()
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)
