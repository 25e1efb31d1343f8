"""Marking a selection again: what would change is shown before anything is written."""

from __future__ import annotations

import fnmatch
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from grader.errors import UsageError
from grader.gradebook.journal import Journal
from grader.jobs import Event, Job, MarkerProcess, Run, journal_path, order_of
from grader.revision import changes, with_dependents
from grader.submissions import find
from grader.submissions import load as load_submission
from grader.versions import versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from grader.config import Assignment, Course
    from grader.jobs import Marker
    from grader.model import Change, CheckResult, Record, Verdict

__all__ = ["Difference", "Regraded", "Selection", "regrade"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which verdicts to look at again: those that every kind of selector picks; globs, any of several; empty: all."""

    students: tuple[str, ...] = ()
    exercises: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()

    def picks(self, result: CheckResult) -> bool:
        """Whether a verdict is of this kind (its student is not looked at)."""
        return (
            _matches(result.check.exercise, self.exercises)
            and _matches(result.check.id, self.checks)
            and (not self.verdicts or result.verdict in self.verdicts)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What marking again changes for one student."""

    before: Record
    after: Record
    checks: tuple[Change, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Regraded:
    """What a selection gave."""

    assignment: str
    seed: int
    students: int
    """Submissions that were marked again."""
    checks: int
    """Verdicts that were looked at again, those that depend on them included."""
    differences: tuple[Difference, ...]
    """By student."""
    written: bool
    passed_over: tuple[tuple[str, str], ...]
    """Students of the selection who could not be marked again, and why."""
    seconds: float


def regrade(
    course: Course,
    assignment: Assignment,
    selection: Selection,
    *,
    reason: str,
    confirm: Callable[[Regraded], bool],
    sandbox: str | None = None,
    seed: int | None = None,
    workers: int | None = None,
    listener: Callable[[Event], None] = lambda _: None,
    marker: Callable[[dict[str, Any]], Marker] = MarkerProcess,
) -> Regraded:
    """Mark the selected verdicts again; write what changed, with its reason, if ``confirm`` says so.

    Nobody else can write to the journal meanwhile. Whatever stops this before ``confirm`` leaves every mark as it was.

    Raises:
        GraderError: nothing is selected, or as ``grader.jobs.mark``.
    """
    started = time.monotonic()
    if not reason.strip():
        raise UsageError("a changed mark needs a reason", remedy="say why with --reason TEXT")
    with Journal(journal_path(course)) as journal:
        journal.lock()
        current = versions(course, assignment)
        latest = journal.latest_of(assignment.name)
        if not latest:
            remedy = f"run `grader grade {assignment.name}` first"
            raise UsageError(f"nothing is marked for {assignment.name} yet", remedy=remedy)
        jobs, passed_over = _jobs(course, assignment, latest, selection, " ".join(reason.split())[:500])
        if not jobs and not passed_over:
            raise _nothing(latest.values(), selection)
        order, why = order_of(course, assignment, sandbox=sandbox, seed=seed, workers=workers)
        listener(Event(kind="start", total=len(jobs), at_a_time=order["workers"], why=why))
        fresh: list[Record] = []
        if jobs:
            kept = "no mark was changed"
            run = Run(course, assignment, current, jobs, listener, fresh.append, journal, if_stopped=kept)
            run.work(marker(order))
        listener(Event(kind="end", done=len(jobs), total=len(jobs)))
        fresh.sort(key=lambda record: record.submission.student)
        found = [
            Difference(before=latest[record.submission.student], after=record, checks=checks)
            for record in fresh
            if (checks := changes(latest[record.submission.student], record))
            or record.score != latest[record.submission.student].score
        ]
        result = Regraded(
            assignment=assignment.name,
            seed=order["seed"],
            students=len(fresh),
            checks=sum(len(job.only or job.before.checks) for job in jobs if job.before is not None),
            differences=tuple(found),
            written=False,
            passed_over=tuple(passed_over),
            seconds=time.monotonic() - started,
        )
        if not confirm(result):
            return result
        for record in fresh:  # those without a change too: that they were looked at again is worth a line
            journal.append(record)
    return replace(result, written=True)


def _jobs(
    course: Course, assignment: Assignment, latest: dict[str, Record], selection: Selection, reason: str
) -> tuple[list[Job], list[tuple[str, str]]]:
    """The submissions that hold a selected verdict, and those that have to wait for ``grader grade``."""
    jobs, passed_over = [], []
    places = dict(find(course.submitted, assignment.name))
    for student, record in sorted(latest.items()):
        if not _matches(student, selection.students):
            continue
        picked = {result.check.id for result in record.checks if selection.picks(result)}
        if not picked:
            continue
        place = places.get(student)
        if place is None:
            passed_over.append((student, "the submission is gone"))
            continue
        if load_submission(student, place, assignment.name, course.root).ref.sha256 != record.submission.sha256:
            passed_over.append((student, "the submission has changed since: run `grader grade`"))
            continue
        only = with_dependents(picked, record.checks)
        whole = len(only) == len(record.checks)
        jobs.append(Job(student=student, place=place, reason=reason, before=record, only=None if whole else only))
    return jobs, passed_over


def _nothing(records: Iterable[Record], selection: Selection) -> UsageError:
    """Why a selection is empty: the first selector that matches nobody, with what it could have been."""
    from grader.config import closest

    everybody = list(records)
    known = {
        "--student": (selection.students, {record.submission.student for record in everybody}),
        "--exercise": (selection.exercises, {r.check.exercise for record in everybody for r in record.checks}),
        "--check": (selection.checks, {r.check.id for record in everybody for r in record.checks}),
    }
    for option, (wished, names) in known.items():
        for glob in wished:
            if not fnmatch.filter(names, glob):
                meant = closest(glob, names)
                remedy = f"did you mean {meant}?" if meant else f"one of {', '.join(sorted(names)[:20])}"
                return UsageError(f"{option} {glob[:80]!r} is in no mark", remedy=remedy)
    return UsageError("no mark fits all of these selectors", remedy="leave one of them out; `grader report` shows all")


def _matches(name: str, globs: Sequence[str]) -> bool:
    return not globs or any(fnmatch.fnmatchcase(name, glob) for glob in globs)
