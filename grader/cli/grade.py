"""``grader grade``: mark the submissions of an assignment."""

from __future__ import annotations

import contextlib
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from grader.cli.options import (
    as_json,
    assignment_argument,
    course_option,
    echo_json,
    harmless,
    open_course,
    stderr,
    stdout,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from grader.config import Assignment, Course
    from grader.jobs import Event, Marker, Outcome

__all__ = ["grade", "mark_class", "set_behind", "stoppable", "sync_gradebook"]


@click.command()
@assignment_argument
@course_option
@click.option("--student", "students", multiple=True, metavar="ID", help="Only this student (may be repeated).")
@click.option("--sandbox", type=click.Choice(["auto", "bubblewrap", "docker", "none"]), help="Overrides course.yaml.")
@click.option("--seed", type=int, help="Run seed: the same one replays marks exactly.")
@click.option("-j", "--workers", type=click.IntRange(1, 256), help="Submissions at a time.  [default: one a core]")
@click.option("--force", is_flag=True, help="Mark again even what has not changed.")
@click.option("--strict", is_flag=True, help="Exit with 1 when a student's check failed.")
@click.option("--no-gradebook", is_flag=True, help="Journal only; the gradebook can be made from it later.")
@click.option("--cluster", metavar="ADDRESS", help="Mark on this Ray cluster: auto, HOST:PORT or ray://HOST:PORT.")
@click.option(
    "--gpu-share",
    type=click.FloatRange(0, 8, min_open=True),
    default=1.0,
    show_default=True,
    metavar="GPUS",
    help="GPUs a submission, on a cluster.",
)
@click.option("--events", is_flag=True, help="Print JSON lines as things happen; the last one is the result.")
@as_json
def grade(
    assignment: str | None,
    course_path: Path,
    students: tuple[str, ...],
    sandbox: str | None,
    seed: int | None,
    workers: int | None,
    force: bool,
    strict: bool,
    no_gradebook: bool,
    cluster: str | None,
    gpu_share: float,
    events: bool,
    as_json: bool,
) -> int:
    """Mark the submissions of ASSIGNMENT that are new or changed.

    Submissions lie at submitted/<student>/<assignment>/<assignment>.ipynb. Every mark is written to the journal at once
    and to the gradebook at the end; stop at any time and run again to go on.
    """
    course, chosen = open_course(course_path, assignment)
    outcome = mark_class(
        course,
        chosen,
        gradebook=not no_gradebook,
        quiet=as_json,
        events=events,
        students=students,
        sandbox=sandbox,
        seed=seed,
        workers=workers,
        force=force,
        marker=None if cluster is None else _on_cluster(cluster, course, chosen, workers, gpu_share),
    )
    if events:
        echo_json({"event": "end"} | summary(outcome))
    elif as_json:
        echo_json(summary(outcome))
    else:
        from grader.cli.table import class_table

        console = stdout()
        console.print(class_table(outcome.records, console.width))
        console.print(sentence(outcome))
    failed = any(result.verdict != "PASS" for record in outcome.records for result in record.checks)
    return 1 if strict and failed else 0


def _on_cluster(
    address: str, course: Course, assignment: Assignment, workers: int | None, gpu_share: float
) -> Callable[[dict[str, Any]], Marker]:
    """What makes a cluster of an order."""

    def make(order: dict[str, Any]) -> Marker:
        from grader.cluster import Cluster

        return Cluster(
            order, address=address, course=course, assignment=assignment, workers=workers, gpu_share=gpu_share
        )

    return make


def mark_class(
    course: Course,
    assignment: Assignment,
    *,
    gradebook: bool = True,
    quiet: bool = False,
    events: bool = False,
    **wishes: Any,
) -> Outcome:
    """Mark with progress, then bring the gradebook up to date, also when the run is stopped half-way."""
    from grader.cli.progress import watching
    from grader.errors import RunInterrupted
    from grader.jobs import mark

    console = stderr()
    quiet = quiet or events
    try:
        with stoppable(), watching(console, assignment.title, quiet=quiet, events=events) as shown:

            def listener(event: Event) -> None:
                if event.kind == "start" and (event.total or event.sums):
                    set_behind(course, assignment)
                shown(event)

            outcome = mark(course, assignment, listener=listener, **wishes)
    except RunInterrupted:
        if gradebook:
            sync_gradebook(course, assignment, quiet)
        raise
    for notice in outcome.notices:
        console.print(f"Note: {harmless(notice)}", markup=False)
    if gradebook and (outcome.marked or _is_behind(course, assignment)):
        sync_gradebook(course, assignment, quiet)
    return outcome


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM stops a run as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _behind(course: Course, assignment: Assignment) -> Path:
    """The file that is there from the first new mark until all of them are in the gradebook."""
    from grader.jobs import journal_path

    return journal_path(course).with_name(f"gradebook-is-behind-{assignment.name}")


def set_behind(course: Course, assignment: Assignment) -> None:
    """Remember that marks are to come, so that they get into the gradebook even if this run is killed at its end."""
    from grader.errors import JournalError, Place

    path = _behind(course, assignment)
    try:
        path.touch()
    except OSError as error:
        raise JournalError(
            f"the file cannot be written: {error.strerror}",
            place=Place(file=str(path)),
            remedy="see that there is room and that you may write there, then run the same command again",
        ) from error


def _is_behind(course: Course, assignment: Assignment) -> bool:
    """Whether the gradebook may lack marks of the journal's: a run was killed before its end, or wrote none.

    A time alone does not tell: a run that is killed in the midst of writing leaves a gradebook that looks new.
    """
    from grader.jobs import journal_path

    url = course.gradebook_url
    book, journal = Path(url.removeprefix("sqlite:///")), journal_path(course)
    if _behind(course, assignment).exists():
        return True
    if not url.startswith("sqlite:///") or not book.is_file() or not journal.is_file():
        return True
    return book.stat().st_mtime_ns < journal.stat().st_mtime_ns


def sync_gradebook(course: Course, assignment: Assignment, quiet: bool) -> None:
    """Write every mark of the assignment into nbgrader's gradebook, from the journal."""
    from grader.cli.formgrader import write_for_formgrader
    from grader.gradebook.database import AssignmentFacts, Gradebook
    from grader.gradebook.journal import Journal
    from grader.jobs import journal_path

    journal = Journal(journal_path(course))
    latest = journal.latest()
    records = [record for (name, _), record in latest.items() if name == assignment.name]
    if not records:
        _behind(course, assignment).unlink(missing_ok=True)
        return
    console = stderr()
    facts = AssignmentFacts(name=assignment.name, exercises=assignment.specs, due=assignment.due)
    if quiet:
        result = Gradebook(course.gradebook_url, course=course.id).sync(records, [facts])
    else:
        with console.status("Writing the gradebook …"):
            result = Gradebook(course.gradebook_url, course=course.id).sync(records, [facts])
    for notice in [*result.notices, *write_for_formgrader(course, assignment, records, journal)]:
        console.print(f"Note: {harmless(notice)}", markup=False)
    _behind(course, assignment).unlink(missing_ok=True)


def sentence(outcome: Outcome) -> str:
    """What the run did, in a line."""
    held = sum(record.is_held for record in outcome.records)
    parts = [f"{len(outcome.marked)} marked in {outcome.seconds:.1f} s"]
    if outcome.unchanged:
        parts.append(f"{len(outcome.unchanged)} unchanged")
    if held:
        parts.append(f"{held} held for you to look at")
    return ", ".join(parts) + (f". Run seed {outcome.seed}." if outcome.marked else ".")


def summary(outcome: Outcome) -> dict[str, Any]:
    """The run for other programs."""
    return {
        "assignment": outcome.assignment,
        "seed": outcome.seed,
        "seconds": outcome.seconds,
        "ready_after_s": outcome.first_s,
        "sandbox": outcome.sandbox,
        "marked": len(outcome.marked),
        "unchanged": len(outcome.unchanged),
        "held": sum(record.is_held for record in outcome.records),
        "students": [
            {
                "student": record.submission.student,
                "score": record.score,
                "max_score": record.max_score,
                "status": str(record.status),
                "exercises": {each.exercise.id: each.earned for each in record.exercises},
                "checks": {result.check.id: str(result.verdict) for result in record.checks},
                "flags": [flag.id for flag in record.flags],
                "marked_at": record.marked_at,
                "seconds": record.timing.total_s,
            }
            for record in outcome.records
        ],
    }
