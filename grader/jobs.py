"""Marking many submissions: what is to be done, who does it, what became of it.

The process that calls ``mark`` only coordinates: it imports no torch. A marker process (``grader.marker``) and its
forks do the work; each record goes to the journal the moment it arrives, so killing anything at any instant loses at
most what is in flight, and the next run goes on from there.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, Self

from grader import errors
from grader.errors import InternalError, Place, RunInterrupted, UsageError
from grader.gradebook.codec import load, load_cells
from grader.gradebook.journal import Journal
from grader.marker import LENGTH, assignment_version, pack, unpack
from grader.submissions import Submission, find
from grader.submissions import load as load_submission

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from grader.config import Assignment, Course
    from grader.model import Record

__all__ = ["AHEAD", "Event", "Gone", "MarkerProcess", "Outcome", "journal_path", "mark", "queue"]


AHEAD = 2
"""Submissions that wait at the marker, so that it never waits for this process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a run, for whoever shows progress."""

    kind: str
    """``start`` (getting ready), ``ready``, ``begin`` (one submission), ``record``, ``end``."""
    student: str | None = None
    record: Record | None = None
    done: int = 0
    total: int = 0
    unchanged: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run did."""

    assignment: str
    seed: int
    marked: tuple[Record, ...]
    """Marked in this run."""
    unchanged: tuple[Record, ...]
    """Marked before and the same now; their cells are not loaded."""
    seconds: float
    sandbox: str = ""
    first_s: float = 0.0
    """From the start until the marker was ready."""
    notices: tuple[str, ...] = ()

    @property
    def records(self) -> tuple[Record, ...]:
        """All of the class, by student."""
        return tuple(sorted((*self.marked, *self.unchanged), key=lambda record: record.submission.student))


@dataclass(slots=True)
class _Job:
    number: int
    submission: Submission
    reason: str
    began: float = field(default=0.0)


def journal_path(course: Course) -> Path:
    """The journal's file."""
    return course.journal / "records.jsonl"


def queue(
    course: Course,
    assignment: Assignment,
    journal: Journal,
    *,
    students: Sequence[str] = (),
    force: bool = False,
    version: str | None = None,
) -> tuple[list[tuple[str, Any, str]], list[Record]]:
    """What is to be marked, as (student, folder, reason), and the records that still hold.

    Raises:
        UsageError: there are no submissions, or a student who is asked for has none.
    """
    found = find(course.submitted, assignment.name, students=frozenset(students))
    missing = sorted(set(students) - {student for student, _ in found})
    if missing:
        place = course.submitted / missing[0] / assignment.name
        raise UsageError(f"{missing[0]} has handed in nothing for {assignment.name}", remedy=f"looked in {place}")
    if not found:
        raise UsageError(
            f"there are no submissions for {assignment.name}",
            place=Place(file=str(course.submitted)),
            remedy=f"put them at {course.paths.submitted}/<student>/{assignment.name}/{assignment.name}.ipynb",
        )
    version = version or assignment_version(course, assignment)
    latest = journal.latest()
    todo, kept = [], []
    for student, place in found:
        submission = load_submission(student, place, assignment.name, course.root)
        before = latest.get((assignment.name, student))
        unchanged = None if force else journal.unchanged(submission.ref, version)
        if unchanged is not None:
            kept.append(unchanged)
        else:
            todo.append((student, place, _reason(before, submission, version, force=force)))
    return todo, kept


def _reason(before: Record | None, submission: Submission, version: str, *, force: bool) -> str:
    if before is None:
        return "first marking"
    if before.submission.sha256 != submission.ref.sha256:
        return "submission changed"
    if before.assignment_sha256 != version:
        return "checks changed"
    if before.is_held:
        return "was held"
    return "asked" if force else "received time changed"


def mark(
    course: Course,
    assignment: Assignment,
    *,
    students: Sequence[str] = (),
    sandbox: str | None = None,
    seed: int | None = None,
    workers: int | None = None,
    force: bool = False,
    reference: bool = True,
    listener: Callable[[Event], None] = lambda _: None,
) -> Outcome:
    """Mark what has changed, append each record to the journal, and return everything.

    Args:
        course: the course.
        assignment: which assignment.
        students: only these; all if empty.
        sandbox: overrides the assignment's.
        seed: the run seed; a fresh one if None.
        workers: submissions at the same time; one per core if None.
        force: also mark what has not changed.
        reference: mark the reference first, and refuse to go on unless it gets full marks.
        listener: told of every step.

    Raises:
        GraderError: the course is wrong, the sandbox or the journal cannot be had, or the run was interrupted.
    """
    started = time.monotonic()
    seed = secrets.randbits(48) if seed is None else seed
    with Journal(journal_path(course)) as journal:
        journal.lock()
        todo, kept = queue(course, assignment, journal, students=students, force=force)
        listener(Event(kind="start", total=len(todo), unchanged=len(kept)))
        lanes = workers or os.cpu_count() or 1
        order = {
            "course": str(course.file),
            "assignment": assignment.name,
            "sandbox": sandbox,
            "seed": seed,
            "reference": reference,
            "workers": lanes,
        }
        run = _Run(course, assignment, journal, deque(todo), listener, lanes + AHEAD)
        if todo:
            run.work(order)
        outcome = Outcome(
            assignment=assignment.name,
            seed=seed,
            marked=tuple(run.marked),
            unchanged=tuple(kept),
            seconds=time.monotonic() - started,
            sandbox=run.sandbox,
            first_s=run.first_s,
            notices=journal.notices,
        )
    listener(Event(kind="end", done=len(outcome.marked), total=len(todo), unchanged=len(kept)))
    return outcome


class Gone(Exception):
    """The marker process ended without a word."""


class MarkerProcess:
    """A marker process: hand it submissions and take their records.

    Leaving it as a context ends the process and every guest of it; on a KeyboardInterrupt at once.
    """

    def __init__(self, order: dict[str, Any]) -> None:
        ours, theirs = socket.socketpair()
        self._link = Connection(ours.detach())
        self._process = None
        try:
            # A group of its own: Ctrl-C reaches this process only, which then ends the marker in order.
            self._process = subprocess.Popen(  # noqa: S603 - this very interpreter
                [sys.executable, "-m", "grader.marker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        finally:
            theirs.close()
            if self._process is None:
                self._link.close()
        self._order = order

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        assert self._process is not None
        if kind is KeyboardInterrupt:
            self._process.terminate()
        with contextlib.suppress(OSError):
            self._link.close()
        _wait_for(self._process)

    def ready(self) -> str:
        """Wait until the reference has passed; the name of the sandbox."""
        self._send(self._order)
        header, _ = self._receive()
        return str(header["sandbox"])

    def hand(self, number: int, submission: Submission, reason: str, **more: Any) -> None:
        """Hand over one submission, to be marked as soon as a core is free."""
        ref = submission.ref
        order = {
            "number": number,
            "ref": {name: getattr(ref, name) for name in ref.__slots__},
            "problem": submission.problem,
            "reason": reason,
            **more,
        }
        self._send(order, submission.data)

    def take(self) -> tuple[int, Record | None]:
        """Wait for news of a submission: that it is being marked (None), or its record."""
        header, message = self._receive()
        number = int(header["number"])
        if header["is"] == "begin":
            return number, None
        end = LENGTH.size + LENGTH.unpack_from(message)[0]
        return number, replace(load(message[LENGTH.size : end]), cells=load_cells(message[end:]))

    def _send(self, header: dict[str, Any], data: bytes = b"") -> None:
        try:
            self._link.send_bytes(pack(header, data))
        except OSError as error:
            raise Gone from error

    def _receive(self) -> tuple[dict[str, Any], bytes]:
        """The marker's next message; its errors are raised here as what they are."""
        try:
            header, data = unpack(self._link.recv_bytes())
        except (EOFError, OSError) as error:
            raise Gone from error
        if header["is"] == "error":
            place = header["place"]
            cls = getattr(errors, header["class"], InternalError)
            where = None if place is None else Place(file=place[0], line=place[1], key=place[2])
            raise cls(header["what"], place=where, remedy=header["remedy"])
        return header, data


class _Run:
    """One run against one marker process."""

    def __init__(
        self,
        course: Course,
        assignment: Assignment,
        journal: Journal,
        todo: deque[tuple[str, Path, str]],
        listener: Callable[[Event], None],
        in_flight: int,
    ) -> None:
        self.course = course
        self.assignment = assignment
        self.journal = journal
        self.todo = todo
        self.total = len(todo)
        self.listener = listener
        self.in_flight = in_flight
        self.working: dict[int, _Job] = {}
        self.marked: list[Record] = []
        self.sandbox = ""
        self.first_s = 0.0

    def work(self, order: dict[str, Any]) -> None:
        """Start the marker and feed it until everything is marked."""
        started = time.monotonic()
        remedy = "run the same command again: it goes on from there"
        try:
            with MarkerProcess(order) as marker:
                self.sandbox = marker.ready()
                self.first_s = time.monotonic() - started
                self.listener(Event(kind="ready", total=self.total))
                self._feed(marker)
        except Gone:
            raise InternalError(f"the marker process ended; {self._kept()}", remedy=remedy) from None
        except KeyboardInterrupt:
            raise RunInterrupted(f"stopped; {self._kept()}", remedy=remedy) from None

    def _kept(self) -> str:
        return f"{len(self.marked)} of {self.total} submissions are marked and kept"

    def _feed(self, marker: MarkerProcess) -> None:
        number = 0
        while self.todo or self.working:
            while self.todo and len(self.working) < self.in_flight:
                student, place, reason = self.todo.popleft()
                submission = load_submission(student, place, self.assignment.name, self.course.root)
                number += 1
                self.working[number] = _Job(number, submission, reason, time.monotonic())
                marker.hand(number, submission, reason)
            at, record = marker.take()
            if record is None:
                self.listener(self._event("begin", student=self.working[at].submission.ref.student))
                continue
            job = self.working.pop(at)
            queued = replace(record.timing, queued_s=max(0.0, time.monotonic() - job.began - record.timing.total_s))
            record = replace(record, timing=queued)
            self.journal.append(record)
            self.marked.append(record)
            self.listener(self._event("record", student=record.submission.student, record=record))

    def _event(self, kind: str, *, student: str, record: Record | None = None) -> Event:
        return Event(kind=kind, student=student, record=record, done=len(self.marked), total=self.total)


def _wait_for(process: subprocess.Popen[bytes]) -> None:
    """Wait for the marker to end its guests and itself; end it when it does not, or on another Ctrl-C."""
    try:
        process.wait(timeout=20)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()
