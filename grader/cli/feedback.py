"""``grader feedback`` and what ``grader report`` shares with it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from grader.cli.options import as_json, assignment_argument, course_option, echo_json, open_course, stdout

if TYPE_CHECKING:
    from pathlib import Path

    from grader.config import Assignment, Course
    from grader.model import Record

__all__ = ["feedback", "latest_records", "write_pages"]


@click.command()
@assignment_argument
@course_option
@click.option("--student", "students", multiple=True, metavar="ID", help="Only this student (may be repeated).")
@as_json
def feedback(assignment: str | None, course_path: Path, students: tuple[str, ...], as_json: bool) -> int:
    """Write a feedback page for every student of ASSIGNMENT, from the marks in the journal.

    Runs no student code; pages can be made again at any time.
    """
    course, chosen = open_course(course_path, assignment)
    pages = write_pages(course, chosen, students)
    if as_json:
        echo_json({student: str(path) for student, path in pages.items()})
    else:
        folder = next(iter(pages.values())).parent
        stdout().print(f"{len(pages)} feedback pages in {folder}", soft_wrap=True, markup=False)
    return 0


def latest_records(course: Course, assignment: Assignment, students: tuple[str, ...] = ()) -> list[Record]:
    """The latest record of each student, with cells. Raises UsageError when there are none."""
    from grader.errors import UsageError
    from grader.gradebook.journal import Journal
    from grader.jobs import journal_path

    journal = Journal(journal_path(course))
    records = [
        record
        for (name, student), record in sorted(journal.latest().items())
        if name == assignment.name and (not students or student in students)
    ]
    if not records:
        raise UsageError(f"nothing is marked for {assignment.name} yet", remedy=f"run `grader grade {assignment.name}`")
    return [replace(record, cells=journal.cells(record)) for record in records]


def write_pages(course: Course, assignment: Assignment, students: tuple[str, ...] = ()) -> dict[str, Path]:
    """Write the feedback pages; the page of each student."""
    from grader.reports import write_feedback

    return write_feedback(
        latest_records(course, assignment, students),
        course.feedback,
        course_title=course.title,
        assignment_title=assignment.title,
        policy=assignment.feedback,
    )
