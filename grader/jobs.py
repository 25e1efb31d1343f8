"""Marking many submissions: what is to be done, who does it, what became of it.

The process that calls ``mark`` only coordinates: it imports no torch. A marker process (``grader.marker``) and its
forks do the work; each record goes to the journal the moment it arrives, so killing anything at any instant loses at
most what is in flight, and the next run goes on from there.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol, Self

from grader import errors
from grader.errors import InternalError, Place, RunInterrupted, UsageError
from grader.gradebook.codec import load, load_cells, whole_text
from grader.gradebook.journal import Journal
from grader.lanes import lanes_for
from grader.marker import LENGTH, Step, pack, unpack
from grader.revision import merged, now, rescored, revised, with_dependents
from grader.submissions import Submission, find
from grader.submissions import load as load_submission
from grader.versions import Versions, stale, versions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path
    from types import TracebackType

    from grader.config import Assignment, Course
    from grader.model import Record

__all__ = [
    "AHEAD",
    "Event",
    "Gone",
    "Job",
    "Marker",
    "MarkerProcess",
    "Outcome",
    "Run",
    "journal_path",
    "mark",
    "order_of",
    "queue",
]


AHEAD = 16
"""Submissions more than it needs that wait at the marker: so that it never waits, and to be timed together."""
LONG_S = 10.0
"""A submission that took longer than this before is a long one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One submission to be marked."""

    student: str
    place: Path
    reason: str
    before: Record | None = None
    """The latest record of the same student."""
    only: frozenset[str] | None = None
    """The checks to run again, the others keep their verdicts; None: mark all of it anew."""

    @property
    def is_long(self) -> bool:
        """Whether it took long the last time."""
        return self.before is not None and self.before.timing.total_s > LONG_S


class Marker(Protocol):
    """What marks: a process on this machine (``MarkerProcess``), or a cluster of them."""

    @property
    def lanes(self) -> int:
        """Submissions that it marks at a time; it may have some more."""
        ...

    @property
    def notices(self) -> Sequence[str]:
        """What a person should know of the run, a sentence each."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def ready(self) -> str:
        """Wait until the reference has passed; the name of the sandbox."""
        ...

    def hand(self, number: int, submission: Submission, reason: str, **more: Any) -> None:
        """Hand over one submission."""
        ...

    def take(self) -> tuple[int, Record | Step]:
        """Wait for news of a submission: what it is at, or its record. Of the steps only ``BEGIN`` has to be told."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a run, for whoever shows progress."""

    kind: str
    """``start`` (getting ready), ``ready``, ``end``; of one submission ``begin``, ``waiting``, ``timed``, ``record``.

    Only who has timed checks waits for the lane, and is then timed. A cluster tells neither."""
    at_a_time: int = 0
    """With ``start``: submissions at the same time."""
    sums: int = 0
    """With ``start``: records that are only added up anew."""
    why: str = ""
    """With ``start``: what allows no more at a time. With ``waiting``: ``lane`` (to be timed alone) or ``again`` (to be
    timed a second time, because the machine was too noisy)."""
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
class _Flying:
    """A submission that was handed over."""

    job: Job
    submission: Submission
    handed: float = field(default_factory=time.monotonic)


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
    version: Versions | None = None,
) -> tuple[list[Job], list[Record]]:
    """What is to be marked, and the records that still hold.

    A record whose verdicts hold, but not their sum (a new due date), is among those that hold: its ``rubric_sha256``
    tells.

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
    current = version or versions(course, assignment)
    latest = journal.latest_of(assignment.name)
    todo, kept = [], []
    for student, place in found:
        submission = load_submission(student, place, assignment.name, course.root)
        before = latest.get(whole_text(submission.ref.student))
        only = None if force else _again(before, submission, current)
        if only is not None and not only and before is not None:
            kept.append(before)
        else:
            reason = _reason(before, submission, only, force=force)
            todo.append(Job(student=student, place=place, reason=reason, before=before, only=only))
    return todo, kept


def _again(before: Record | None, submission: Submission, current: Versions) -> frozenset[str] | None:
    """The checks to run again on a submission; None when there is no mark of it to start from."""
    if before is None or before.submission.sha256 != submission.ref.sha256 or before.is_held:
        return None
    changed = stale(before, current)
    return with_dependents(changed, before.checks) if changed else changed


def _reason(before: Record | None, submission: Submission, only: frozenset[str] | None, *, force: bool) -> str:
    if before is None:
        return "first marking"
    if before.submission.sha256 != submission.ref.sha256:
        return "submission changed"
    if force:
        return "asked"
    if before.is_held:
        return "was held"
    return "checks changed" if only else "assignment changed"


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
    marker: Callable[[dict[str, Any]], Marker] | None = None,
) -> Outcome:
    """Mark what has changed, append each record to the journal, and return everything.

    Args:
        course: the course.
        assignment: which assignment.
        students: only these; all if empty.
        sandbox: overrides the assignment's.
        seed: the run seed; a fresh one if None.
        workers: submissions at the same time; as many as the machine's budget allows if None.
        force: also mark what has not changed.
        reference: mark the reference first, and refuse to go on unless it gets full marks.
        listener: told of every step.
        marker: makes what marks from an order; a process on this machine if None.

    Raises:
        GraderError: the course is wrong, the sandbox or the journal cannot be had, or the run was interrupted.
    """
    started = time.monotonic()
    with Journal(journal_path(course)) as journal:
        journal.lock()
        current = versions(course, assignment)
        todo, kept = queue(course, assignment, journal, students=students, force=force, version=current)
        unknown = () if students else _unknown(assignment, todo, kept)
        sums = [record for record in kept if not _is_summed(record, current)]
        kept = [record for record in kept if record not in sums] if sums else kept
        order, why = order_of(course, assignment, sandbox=sandbox, seed=seed, workers=workers, reference=reference)
        start = Event(kind="start", total=len(todo), unchanged=len(kept), sums=len(sums))
        listener(replace(start, at_a_time=order["workers"], why=why) if marker is None else start)
        marked = [_rescore(record, assignment, current, journal) for record in sums]

        def keep(record: Record) -> None:
            journal.append(record)
            marked.append(record)

        again = ": with --force it begins anew" if force else ": it goes on from there"
        run = Run(course, assignment, current, todo, listener, keep, journal, again=again)
        if todo:
            run.work((marker or MarkerProcess)(order))
        outcome = Outcome(
            assignment=assignment.name,
            seed=order["seed"],
            marked=tuple(marked),
            unchanged=tuple(kept),
            seconds=time.monotonic() - started,
            sandbox=run.sandbox,
            first_s=run.first_s,
            notices=(*journal.notices, *run.notices, *unknown),
        )
    listener(Event(kind="end", done=len(outcome.marked), total=len(todo), unchanged=len(kept)))
    return outcome


def order_of(
    course: Course,
    assignment: Assignment,
    *,
    sandbox: str | None = None,
    seed: int | None = None,
    workers: int | None = None,
    reference: bool = True,
) -> tuple[dict[str, Any], str]:
    """What a marker is told before its first submission, and what allows no more submissions at a time."""
    lanes = lanes_for(assignment, workers)
    order = {
        "course": str(course.file),
        "assignment": assignment.name,
        "sandbox": sandbox,
        "seed": secrets.randbits(48) if seed is None else seed,
        "reference": reference,
        "workers": lanes.at_a_time,
        "most": lanes.most,
    }
    return order, lanes.why


def _rescore(before: Record, assignment: Assignment, current: Versions, journal: Journal) -> Record:
    """Add up anew what was marked under another due date or rubric, and keep it."""
    record = rescored(replace(before, cells=journal.cells(before), marked_at=now()), assignment)
    rubric = current.rubric_of(record.submission.student)
    record = replace(record, rubric_sha256=rubric, reason="due date or rubric changed")
    record = revised(before, _up_to_date(record, current))
    journal.append(record)
    return record


def _unknown(assignment: Assignment, todo: Sequence[Job], kept: Sequence[Record]) -> tuple[str, ...]:
    """Who has an extension and has handed in nothing: perhaps an id that nobody has."""
    known = {job.student for job in todo} | {record.submission.student for record in kept}
    missing = sorted(set(assignment.extensions) - known)
    if not missing:
        return ()
    named = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
    return (f"extensions names {named}: nothing was handed in under that id",)


def _is_summed(record: Record, current: Versions) -> bool:
    """Whether a record was added up by the rubric and due date as they are now."""
    return record.rubric_sha256 in ("", current.rubric_of(record.submission.student))


def _up_to_date(record: Record, current: Versions) -> Record:
    """A record that says which version of the assignment it is good for: this one, unless some part is older."""
    if stale(record, current) or stale(record, current) is None:
        return record
    return replace(record, assignment_sha256=current.whole)


class Gone(Exception):
    """The marker process ended without a word."""


class MarkerProcess:
    """A marker process: hand it submissions and take their records.

    Entering it as a context starts the process, leaving ends it and every guest of it; on a KeyboardInterrupt at once.
    """

    def __init__(self, order: dict[str, Any]) -> None:
        self.lanes = int(order["workers"])
        self.notices: tuple[str, ...] = ()
        self._order = order
        self._outbox: SimpleQueue[bytes | None] = SimpleQueue()
        self._end = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as end:
            ours, theirs = socket.socketpair()
            end.enter_context(ours)
            self._link = end.enter_context(Connection(ours.dup().detach()))
            with theirs:
                # A group of its own: Ctrl-C reaches this process only, which then ends the marker in order.
                process = subprocess.Popen(  # noqa: S603 - this very interpreter
                    [sys.executable, "-m", "grader.marker", str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )

            def wait(kind: type[BaseException] | None, *_: object) -> None:
                if kind is KeyboardInterrupt:
                    process.terminate()
                _wait_for(process)

            end.push(wait)
            writer = threading.Thread(target=self._write, daemon=True)
            end.callback(self._hang_up, ours, writer)
            writer.start()
            self._end = end.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.__exit__(kind, error, trace)

    def _hang_up(self, ours: socket.socket, writer: threading.Thread) -> None:
        """Have the writer end, and the marker see that nobody is there any more."""
        self._outbox.put(None)
        with contextlib.suppress(OSError):
            ours.shutdown(socket.SHUT_RDWR)
        if writer.is_alive():
            writer.join()

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

    def take(self) -> tuple[int, Record | Step]:
        """Wait for news of a submission: what it is at, or its record."""
        header, message = self._receive()
        number = int(header["number"])
        if header["is"] != "record":
            return number, Step(header["is"])
        end = LENGTH.size + LENGTH.unpack_from(message)[0]
        return number, replace(load(message[LENGTH.size : end]), cells=load_cells(message[end:]))

    def _send(self, header: dict[str, Any], data: bytes = b"") -> None:
        self._outbox.put(pack(header, data))

    def _write(self) -> None:
        """In a thread, so that records are taken meanwhile: else two that send to each other would wait for ever."""
        with contextlib.suppress(OSError):  # the marker has ended, which whoever waits for its news is told
            for message in iter(self._outbox.get, None):
                self._link.send_bytes(message)

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


class Run:
    """One run: hands submissions to a marker and keeps their records."""

    def __init__(
        self,
        course: Course,
        assignment: Assignment,
        current: Versions,
        todo: Collection[Job],
        listener: Callable[[Event], None],
        keep: Callable[[Record], None],
        journal: Journal,
        *,
        if_stopped: str | None = None,
        again: str = "",
    ) -> None:
        self.course = course
        self.assignment = assignment
        self.current = current
        self.long = [job for job in todo if job.is_long]
        self.short = [job for job in todo if not job.is_long]
        self.long.sort(key=lambda job: job.before.timing.total_s if job.before else 0.0)
        self.short.reverse()  # both are taken from the end
        self.total = len(todo)
        self.listener = listener
        self.keep = keep
        self.journal = journal
        self.if_stopped = if_stopped
        """What is said of the marks when the run is stopped; how many are kept if None."""
        self.again = again
        """What the same command does when it is given again."""
        self.working: dict[int, _Flying] = {}
        self.before: int | None = None
        """Records of the assignment when the work began."""
        self.done = 0
        self.sandbox = ""
        self.first_s = 0.0
        self.notices: tuple[str, ...] = ()

    def work(self, marker: Marker) -> None:
        """Feed a marker until everything is marked."""
        started = time.monotonic()
        remedy = f"run the same command again{self.again}"
        try:
            self.before = self.journal.count(self.assignment.name)
            with marker:
                self.sandbox = marker.ready()
                self.first_s = time.monotonic() - started
                self.listener(Event(kind="ready", total=self.total))
                self._feed(marker)
                self.notices = tuple(marker.notices)
        except Gone:
            raise InternalError(f"the marker process ended; {self._kept()}", remedy=remedy) from None
        except KeyboardInterrupt:
            raise RunInterrupted(f"stopped; {self._kept()}", remedy=remedy) from None

    def _kept(self) -> str:
        # As the journal has it: a run can be stopped between writing a record and counting it.
        kept = 0 if self.before is None else self.journal.count(self.assignment.name) - self.before
        return self.if_stopped or f"{kept} of {self.total} submissions are marked and kept"

    def _feed(self, marker: Marker) -> None:
        number = 0
        while self.long or self.short or self.working:
            while (self.long or self.short) and len(self.working) < 2 * marker.lanes + AHEAD:
                job = self._next(marker.lanes)
                submission = load_submission(job.student, job.place, self.assignment.name, self.course.root)
                number += 1
                self._hand(marker, number, job, submission)
            at, news = marker.take()
            flying = self.working[at]
            if isinstance(news, Step):
                waits = news in (Step.LANE, Step.AGAIN)
                kind, why = ("waiting", str(news)) if waits else (str(news), "")
                self.listener(self._event(kind, student=flying.submission.ref.student, why=why))
                continue
            del self.working[at]
            kept = self._kept_with(flying, news)
            if kept is None:
                number += 1
                self._hand(marker, number, replace(flying.job, only=None), flying.submission)
                continue
            self.keep(kept)
            self.done += 1
            self.listener(self._event("record", student=kept.submission.student, record=kept))

    def _next(self, lanes: int) -> Job:
        """The longest first, lest it begin at the very end; but in no more than half of the lanes while others wait."""
        flying = sum(flying.job.is_long for flying in self.working.values())
        return self.long.pop() if self.long and (flying < lanes // 2 or not self.short) else self.short.pop()

    def _hand(self, marker: Marker, number: int, job: Job, submission: Submission) -> None:
        before = job.before
        if before is None or job.only is None or before.submission.sha256 != submission.ref.sha256:
            job = replace(job, only=None)  # replaced since the queue was made
        self.working[number] = _Flying(job, submission)
        more = {} if job.only is None else {"checks": sorted(job.only)}
        marker.hand(number, submission, job.reason, **more)

    def _kept_with(self, flying: _Flying, fresh: Record) -> Record | None:
        """The record to keep; None when the whole submission has to be marked after all."""
        job, before = flying.job, flying.job.before
        rubric = self.current.rubric_of(fresh.submission.student)
        if job.only is None or before is None:
            queued_s = max(0.0, time.monotonic() - flying.handed - fresh.timing.total_s)
            record = replace(fresh, timing=replace(fresh.timing, queued_s=queued_s))
            if record.assignment_sha256 == self.current.whole:  # else it was changed while this run began
                record = replace(record, setting_sha256=self.current.setting, rubric_sha256=rubric)
        else:
            whole = replace(before, cells=self.journal.cells(before))
            again = merged(whole, fresh, job.only, self.assignment)
            if again is None:
                return None
            record = _up_to_date(replace(again, rubric_sha256=rubric), self.current)
        return revised(before, record)

    def _event(self, kind: str, *, student: str, why: str = "", record: Record | None = None) -> Event:
        return Event(kind=kind, student=student, why=why, record=record, done=self.done, total=self.total)


def _wait_for(process: subprocess.Popen[bytes]) -> None:
    """Wait for the marker to end its guests and itself; end it when it does not, or on another Ctrl-C."""
    try:
        process.wait(timeout=20)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()
    if process.returncode < 0:  # killed: what it would have removed is removed here
        from grader.sandbox.zygotes import remove_remains

        remove_remains()
