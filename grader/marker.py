"""The marker process: collects the checks once, then forks itself for each submission.

Theory of operation. ``grader.jobs`` starts it (``python -m grader.marker``) with one end of a socket pair and talks in
messages of a JSON header and raw bytes. It starts the sandbox, imports torch while the zygote does the same, collects
the check files, and marks the reference: a reference that does not get full marks is an error of the course, and no
submission is marked. After that it forks for each submission; a fork that dies or hangs costs its submission only
(once more, then held). When the other end closes, the marker and every guest end.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import struct
import sys
import time
from collections import deque
from dataclasses import dataclass, replace
from enum import StrEnum
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import recv_handle, send_handle
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from grader.config import load_course
from grader.errors import CourseError, GraderError, InternalError, Place
from grader.guest.confine import die_with_parent
from grader.guest.memory import collapse, fork
from grader.model import CellResult, Record, RecordStatus, SubmissionRef, Verdict, Visibility

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from grader.checks.collect import Collected
    from grader.config import Assignment, Course
    from grader.pipeline import Plan
    from grader.sandbox.base import Limits, Sandbox
    from grader.sandbox.gpus import Gpu
    from grader.wall.host import Wall
    from grader.wall.session import Policy, Session

__all__ = ["SHOWN", "Step", "assignment_version", "check_files", "main", "pack", "unpack"]

SHOWN = {"title", "feedback", "leaderboard", "extensions"}
"""Settings that change no mark, or that of single students only (``grader.versions``)."""
LENGTH = struct.Struct(">I")
HANG_MARGIN_S = 60.0
PATIENCE = 4
"""How often its time a submission's guest may be there on a busy machine, whoever has the word."""
LONG_S = 20.0
"""A submission that takes longer no longer counts against the number at a time."""


class Step(StrEnum):
    """What a marker says of a submission until its record is there: the ``is`` of a message with its number."""

    BEGIN = "begin"
    """It is being marked; said once more when it is begun anew."""
    LANE = "lane"
    """Its timed checks wait for the lane."""
    AGAIN = "again"
    """The machine was too noisy: it waits for the lane once more, until the others are through."""
    TIMED = "timed"
    """It has the lane."""


def pack(header: dict[str, Any], data: bytes = b"") -> bytes:
    """One message: the header's length, the header, the data."""
    head = json.dumps(header).encode()
    return LENGTH.pack(len(head)) + head + data


def unpack(message: bytes) -> tuple[dict[str, Any], bytes]:
    """A message's header and data."""
    size = LENGTH.unpack_from(message)[0]
    end = LENGTH.size + size
    return json.loads(message[LENGTH.size : end]), message[end:]


def check_files(assignment: Assignment) -> list[tuple[Path, Visibility]]:
    """The public and hidden check files of an assignment. Raises CourseError when one is missing."""
    files = [
        (assignment.folder / "test_public.py", Visibility.PUBLIC),
        (assignment.solution_folder / "test_hidden.py", Visibility.HIDDEN),
    ]
    for path, _ in files:
        if not path.is_file():
            here = Path.cwd()
            shown = path.relative_to(here) if path.is_relative_to(here) else path
            remedy = "write it, or see docs/writing-checks.md"
            raise CourseError("there is no such check file", place=Place(file=str(shown)), remedy=remedy)
    return files


def assignment_version(course: Course, assignment: Assignment) -> str:
    """Hex SHA-256 over everything that a mark depends on: checks, given code, data, reference, settings."""
    digest = hashlib.sha256()
    folder = assignment.folder
    paths = [path for path, _ in check_files(assignment)]
    paths += [assignment.solution_path, *data_files(assignment), folder / "given.py", assignment.notebook_path]
    for path in paths:
        digest.update(path.name.encode() + b"\0")
        if path.is_file():
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    settings = assignment.model_dump(mode="json", exclude=SHOWN)
    digest.update(json.dumps(settings, sort_keys=True).encode())
    digest.update(course.timezone.encode() if isinstance(course.timezone, str) else str(course.timezone).encode())
    return digest.hexdigest()


def data_files(assignment: Assignment) -> list[Path]:
    """What an assignment lays beside the notebook, in its folder ``data``."""
    folder = assignment.folder / "data"
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def main() -> None:
    """Serve ``grader.jobs`` on the socket whose descriptor is the first argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    link = Connection(int(sys.argv[1]))
    try:
        order, _ = unpack(link.recv_bytes())
        Marker(link, order).run()
    except (EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        return
    except GraderError as error:
        place = error.place and [error.place.file, error.place.line, error.place.key]
        what = {"class": type(error).__name__, "what": error.what, "place": place, "remedy": error.remedy}
        with contextlib.suppress(OSError):
            link.send_bytes(pack({"is": "error", **what}))
    except Exception as error:  # noqa: BLE001 - the other process prints it
        import traceback

        what = {"class": "InternalError", "what": f"{type(error).__name__}: {error}", "place": None}
        with contextlib.suppress(OSError):
            link.send_bytes(pack({"is": "error", **what, "remedy": traceback.format_exc()[-3000:]}))


@dataclass(slots=True)
class Child:
    """A fork that is marking one submission."""

    pid: int
    number: int
    header: dict[str, Any]
    data: bytes
    results: Connection
    deadline: float
    generation: int
    """Which of the run's sandboxes it uses."""
    began: float
    waited_from: float = 0.0
    waits: Step | None = None
    """``LANE``: for the lane to be free; ``AGAIN``: for the end of the run, too."""


class Marker:
    """Holds the plan of a run and its forks."""

    def __init__(self, link: Connection, order: dict[str, Any]) -> None:
        self.link = link
        self.order = order
        self.children: dict[int, Child] = {}
        self.waiting: deque[tuple[dict[str, Any], bytes]] = deque()
        """Handed over, but not begun."""
        self.tries: set[tuple[int, str]] = set()
        self.lane_open = False
        """Whether timed checks are run: one child at a time, until none waits for the lane."""
        self.generation = 1
        """Counts the sandboxes of this run: one is started again when it was lost."""
        self.load_reference: Callable[[], Session] | None = None
        self.racer: Session | None = None
        """The reference, loaded once for all: timed checks run beside a copy of it."""

    def run(self) -> None:
        """Make ready, then serve until the link closes."""
        from grader.sandbox.base import Limits

        course = load_course(Path(self.order["course"]))
        assignment = course.assignment(self.order["assignment"])
        limits = Limits(**assignment.limits_for_sandbox())
        # Of the submission's time the session keeps count, and leaves out what is ours: waits for cores and for guests.
        limits = replace(limits, wall_s=PATIENCE * limits.wall_s)
        sandbox, limits, gpu = _sandbox(self.order["sandbox"] or assignment.sandbox, assignment, limits)
        _require(sandbox, assignment)
        with _launched(sandbox):
            # The zygote imports torch while this process does.
            import torch

            from grader.checks.collect import CheckFile, collecting
            from grader.pipeline import Plan, hardware, reference_session
            from grader.release import read_released, read_solution
            from grader.revision import late_rule
            from grader.wall.session import Budget

            torch.set_num_threads(1)
            numbers = assignment.limits
            budget = Budget(
                cell_s=numbers.cell_s,
                cells_s=numbers.cells_s,
                check_s=numbers.check_s,
                submission_s=numbers.wall_s,
                output_bytes=numbers.output_bytes,
            )
            given = assignment.folder / "given.py"

            def use(collected: Collected) -> None:
                plan = Plan(
                    exercises=assignment.specs,
                    collected=collected,
                    released=read_released(course, assignment),
                    given=given.read_text(encoding="utf-8") if given.is_file() else None,
                    files={
                        str(path.relative_to(assignment.folder)): path.read_bytes() for path in data_files(assignment)
                    },
                    sandbox=sandbox,
                    limits=limits,
                    budget=budget,
                    seed=self.order["seed"],
                    assignment_sha256=assignment_version(course, assignment),
                    late=late_rule(assignment),
                    hardware=hardware(gpu),
                    reference=self._reference_wall,
                )
                sandbox.start()
                if collected.timed.checks:
                    solution = read_solution(course, assignment)
                    self.load_reference = lambda: reference_session(plan, solution)
                if self.order.get("reference", True):
                    self._reference(plan, assignment)
                _rehearse(plan, assignment)
                _settle()
                self.link.send_bytes(pack({"is": "ready", "checks": len(collected.checks), "sandbox": sandbox.name}))
                try:
                    self._serve(plan)
                finally:
                    self._end_all()
                    if self.racer is not None:
                        self.racer.close()

            files = [CheckFile(path=path, visibility=who) for path, who in check_files(assignment)]
            collecting(files, assignment.specs, use)

    # -- forks -----------------------------------------------------------------------------------------------------

    def _serve(self, plan: Plan) -> None:
        while True:
            ready = wait([self.link, *(child.results for child in self.children.values())], timeout=1.0)
            idle = not ready
            for source in ready:
                if source is self.link:
                    try:
                        header, data = unpack(self.link.recv_bytes())
                    except (EOFError, OSError):  # at once, or in the middle of a message
                        return
                    self.waiting.append((header, data))
                else:
                    self._collect(source, plan)
            self._open_lane(idle=idle)
            while self.waiting and not self.lane_open and self._has_room():
                header, data = self.waiting.popleft()
                self._begin(header, data, plan)
            now = time.monotonic()
            for child in [each for each in self._running() if now > each.deadline]:
                self._lost(child, plan, "it took far longer than its limits allow")

    def _has_room(self) -> bool:
        """Whether one more may begin. What has become a long one does not hold up the others: one goes on beside it."""
        since = time.monotonic() - LONG_S
        running = self._running()
        short = sum(child.began > since for child in running)
        workers = self.order["workers"]
        return bool(short < workers and len(running) < self.order.get("most", workers))

    def _running(self) -> list[Child]:
        return [child for child in self.children.values() if not child.waits]

    def _open_lane(self, *, idle: bool) -> None:
        """When nothing else is left to do, let those that wait for the lane through, one by one.

        What is to be measured a second time goes last: when nothing has happened for a while, so nothing else will.
        """
        if self._running():
            return
        lane = [child for child in self.children.values() if child.waits is Step.LANE]
        if not lane and idle:
            lane = [child for child in self.children.values() if child.waits]
        self.lane_open = bool(lane) and (self.lane_open or not self.waiting)
        if self.lane_open:
            child = lane[0]
            child.waits = None
            child.deadline += time.monotonic() - child.waited_from
            with contextlib.suppress(OSError):
                child.results.send_bytes(pack({"is": "go"}))

    def _say(self, number: int, step: Step) -> None:
        self.link.send_bytes(pack({"is": step, "number": number}))

    def _begin(self, header: dict[str, Any], data: bytes, plan: Plan) -> None:
        self._say(header["number"], Step.BEGIN)
        ours, theirs = socket.socketpair()
        pid = fork()
        if pid == 0:
            others = [self.link, *(child.results for child in self.children.values())]
            _in_child(lambda results: _mark(header, data, plan, results), ours, theirs, others)
        theirs.close()
        child = Child(
            pid=pid,
            number=header["number"],
            header=header,
            data=data,
            results=Connection(ours.detach()),
            deadline=time.monotonic() + plan.limits.wall_s * 1.25 + HANG_MARGIN_S,
            generation=self.generation,
            began=time.monotonic(),
        )
        self.children[pid] = child

    def _collect(self, source: Any, plan: Plan) -> None:
        child = next(each for each in self.children.values() if each.results is source)
        try:
            header, record = unpack(child.results.recv_bytes())
        except (EOFError, OSError):
            self._lost(child, plan, "the marking process ended before it had a result")
            return
        if header["is"] in (Step.LANE, Step.AGAIN):
            child.waits, child.waited_from = Step(header["is"]), time.monotonic()
            self._say(child.number, child.waits)
            return
        if header["is"] == Step.TIMED:
            self._say(child.number, Step.TIMED)
            return
        if header["is"] == "reference":
            self._lend_reference(child, header, plan)
            return
        if header["held"]:
            self._mend_sandbox(child, plan)
            if self._again(child, plan, "guest"):
                return
        self._forget(child)
        self.link.send_bytes(pack({"is": "record", "number": child.number}, record))

    def _lost(self, child: Child, plan: Plan, why: str) -> None:
        """Ours: once more, then a held record."""
        if self._again(child, plan, "fork"):
            return
        from grader.pipeline import broken

        self._forget(child)
        record = broken(_submission(child.header, child.data), plan, why, child.header["reason"])
        self.link.send_bytes(pack({"is": "record", "number": child.number}, _dump(record)))

    def _again(self, child: Child, plan: Plan, lost: str) -> bool:
        """Mark a submission once more in a new fork; False when that was done before for the same loss."""
        if (child.number, lost) in self.tries:
            return False
        self.tries.add((child.number, lost))
        self._forget(child)
        self._begin(child.header, child.data, plan)
        return True

    def _mend_sandbox(self, child: Child, plan: Plan) -> None:
        """Start a new sandbox if the one went away that a submission used.

        Raises:
            SandboxUnavailable: it cannot be started again.
        """
        from grader.errors import SandboxUnavailable

        if child.generation == self.generation:
            try:
                plan.sandbox.spawn(plan.limits).close()
            except SandboxUnavailable:
                plan.sandbox.start()
                self.generation += 1

    def _forget(self, child: Child) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
        child.results.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child.pid, 0)
        self.children.pop(child.pid, None)

    def _end_all(self) -> None:
        for child in list(self.children.values()):
            self._forget(child)

    # -- the reference -----------------------------------------------------------------------------------------------

    def _reference_wall(self, seed: int, policy: Policy | None) -> Wall:
        """A wall to a fresh copy of the loaded reference. Raises SandboxLost.

        The time of one guest is limited, so a new one takes over when half of it is used.
        """
        assert self.load_reference is not None
        if self.racer is not None and self.racer.computed_s() > self.racer.limits.cpu_s / 2:
            self.racer.close()
            self.racer = None
        if self.racer is None:
            self.racer = self.load_reference()
        return self.racer.for_check(seed, policy)

    def _lend_reference(self, child: Child, asked: Mapping[str, Any], plan: Plan) -> None:
        """Hand a fork a wall to a copy of the reference; it is closed here, so that it ends with the fork's."""
        from grader.wall.faults import SandboxLost, StudentFault
        from grader.wall.session import Policy

        try:
            names, ops, instead = asked["policy"]
            wall = self._reference_wall(asked["seed"], Policy(tuple(names), tuple(ops), instead))
            assert wall.guest is not None
            pid = wall.guest.pid
        except (SandboxLost, StudentFault, OSError) as error:
            self._mend_sandbox(child, plan)
            with contextlib.suppress(OSError):
                child.results.send_bytes(pack({"is": "reference", "pid": 0, "why": str(error)[:500]}))
            return
        with contextlib.suppress(OSError):
            child.results.send_bytes(pack({"is": "reference", "pid": pid}))
            send_handle(child.results, wall.channel.sock.fileno(), child.pid)
        wall.close()

    def _reference(self, plan: Plan, assignment: Assignment) -> None:
        """Mark the solution with the run's seed. Raises CourseError unless it gets full marks.

        In this very process, so that whatever the checks import or initialise lazily is there in every fork.
        """
        from grader.pipeline import grade
        from grader.submissions import Submission

        source = assignment.solution_path.read_bytes()
        ref = SubmissionRef(
            student="reference",
            name="reference",
            assignment=assignment.name,
            path=str(assignment.solution_path),
            sha256=hashlib.sha256(source).hexdigest(),
        )
        plan = replace(plan, released=None, late=None)
        record = grade(Submission(ref=ref, data=source), plan, reason="reference")
        lost = next((flag.text for flag in record.flags if flag.id == "held"), None)
        if lost is not None:
            raise InternalError(f"the reference solution: {lost}", remedy="run the same command again")
        wrong = [result for result in record.checks if result.verdict is not Verdict.PASS]
        if wrong:
            shown = "\n".join(
                f"    {result.check.id}: {result.verdict} {result.rationale or ''} {result.evidence or ''}".rstrip()
                for result in wrong[:5]
            )
            raise CourseError(
                f"the reference solution does not pass {len(wrong)} of {len(record.checks)} checks\n{shown}",
                place=Place(file=str(assignment.solution_path)),
                remedy=f"mend the solution or the check; `grader grade --seed {plan.seed}` shows the same again",
            )
        if record.status is RecordStatus.HELD:
            raise InternalError("the reference solution could not be marked")


def _rehearse(plan: Plan, assignment: Assignment) -> None:
    """Do once what every fork does besides marking: whatever is imported or built on the way is then in all of them.

    Without it each fork would build pydantic's schema of a record anew, and import what compares and shows values.
    """
    import torch

    from grader.notebook import read, repair
    from grader.pipeline import broken

    str(torch.zeros(1))
    if plan.released is not None:
        solution = read(assignment.solution_path.read_bytes())
        repair(replace(solution, cells=tuple(replace(cell, metadata={}) for cell in solution.cells)), plan.released)
    nobody = {"student": "nobody", "name": "nobody", "assignment": assignment.name, "path": "", "sha256": ""}
    record = broken(_submission({"ref": nobody, "problem": None}, b""), plan, "a rehearsal", "rehearsal")
    _dump(replace(record, cells=(CellResult(index=0, cell_type="code", source=""),)))


def _mark(header: dict[str, Any], data: bytes, plan: Plan, results: Connection) -> bytes:
    """In the fork: mark one submission."""
    from dataclasses import replace

    from grader.lane import alone
    from grader.pipeline import grade
    from grader.wall.faults import SandboxLost
    from grader.wall.host import Wall
    from grader.wall.session import Budget, Policy

    @contextlib.contextmanager
    def lane(again: bool) -> Iterator[None]:
        """Wait for this run's turn, then for other runs on this machine."""
        results.send_bytes(pack({"is": Step.AGAIN if again else Step.LANE}))
        results.recv_bytes()
        with contextlib.nullcontext() if "only" in header else alone():
            results.send_bytes(pack({"is": Step.TIMED}))
            yield

    def reference(seed: int, policy: Policy | None) -> Wall:
        """Ask the marker for a wall to a copy of the reference."""
        results.send_bytes(pack({"is": "reference", "seed": seed, "policy": (policy or Policy()).plain}))
        answer, _ = unpack(results.recv_bytes())
        if not answer["pid"]:
            raise SandboxLost(f"the reference: {answer['why']}")
        sock = socket.socket(fileno=recv_handle(results))
        return Wall(sock, seconds=Budget.wall(plan.budget.check_s), root=answer["pid"])

    plan = replace(plan, lane=lane, reference=reference)
    if "only" in header:  # an audit: these exercises, with this seed, and how near each comparison came
        from grader.checks.compare import HEADROOM

        HEADROOM.measured = True
        only, enough = set(header["only"]), header["enough"]
        collected = plan.collected.of(only)
        plan = replace(
            plan,
            exercises=tuple(exercise for exercise in plan.exercises if exercise.id in only),
            collected=collected,
            seed=header["seed"],
            enough=None if enough is None else collected.needed_by(enough),
            timed=header["timed"],
        )
    if "checks" in header:  # marked again: these only, ``grader.revision`` puts them among those that are kept
        kept = tuple(check for check in plan.collected.checks if check.spec.id in header["checks"])
        plan = replace(plan, collected=replace(plan.collected, checks=kept))
    record = grade(_submission(header, data), plan, reason=header["reason"])
    broke = any(result.verdict is Verdict.BROKEN for result in record.checks)
    return pack({"is": "record", "held": broke}, _dump(record))


def _submission(header: dict[str, Any], data: bytes) -> Any:
    from grader.submissions import Submission

    return Submission(ref=SubmissionRef(**header["ref"]), data=data, problem=header["problem"])


def _dump(record: Record) -> bytes:
    from grader.gradebook.codec import dump, dump_cells

    head, cells = dump(record), dump_cells(record.cells)
    return LENGTH.pack(len(head)) + head + cells


def _in_child(
    work: Callable[[Connection], bytes], ours: socket.socket, theirs: socket.socket, others: list[Any]
) -> NoReturn:
    status = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        die_with_parent()
        ours.close()
        for other in others:
            os.close(other.fileno())
        results = Connection(theirs.detach())
        results.send_bytes(work(results))
        status = 0
    except BaseException:  # noqa: BLE001 - the parent sees the missing result; say why to the log
        import traceback

        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(status)


def _sandbox(name: str, assignment: Assignment, limits: Limits) -> tuple[Sandbox, Limits, Gpu | None]:
    """The sandbox of a run, its limits, and the GPU that its guests get.

    Raises:
        SandboxUnavailable: there is none, or the assignment requires a GPU and guests can have none.
    """
    from grader.sandbox import gpus
    from grader.sandbox.select import select

    gpu = None if assignment.gpu == "never" else gpus.wanted(assignment.gpu, assignment.name, gpus.find())
    gpus.hide()
    if gpu is not None:
        sandbox = select(name, preload=assignment.preload, limits=limits, gpu=gpu)
        line = next(each for each in sandbox.capabilities() if each.id == "gpu")
        if line.holds:
            return sandbox, limits, gpu
        if assignment.gpu == "required":
            raise gpus.refused(assignment.name, line.how, line.remedy)
    limits = replace(limits, gpu_memory_bytes=None)
    return select(name, preload=assignment.preload, limits=limits), limits, None


def _require(sandbox: Sandbox, assignment: Assignment) -> None:
    """Refuse to mark where a protection that the assignment requires does not hold."""
    from grader.errors import SandboxUnavailable

    if not assignment.require:
        return
    found = {capability.id: capability for capability in sandbox.capabilities()}
    for name in assignment.require:
        capability = found.get(name)
        if capability is None or not capability.holds:
            how = capability.how if capability is not None else "this sandbox does not know it"
            raise SandboxUnavailable(
                f"{assignment.name} requires {name}, which does not hold here: {how}",
                remedy=(capability.remedy if capability is not None else None) or "see `grader doctor`",
            )


@contextlib.contextmanager
def _launched(sandbox: Sandbox) -> Any:
    sandbox.launch()
    try:
        yield
    finally:
        sandbox.close()


def _settle() -> None:
    """Make forks cheap: nothing to collect, memory in huge pages."""
    import gc

    gc.collect()
    gc.freeze()
    collapse()


if __name__ == "__main__":
    main()
