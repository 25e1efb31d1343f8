"""``grader report``: the class report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from grader.cli.feedback import latest_records
from grader.cli.options import as_json, assignment_argument, course_option, echo_json, open_course, stdout

if TYPE_CHECKING:
    from pathlib import Path

    from grader.config import Assignment, Course

__all__ = ["report", "write_report"]


@click.command()
@assignment_argument
@course_option
@as_json
def report(assignment: str | None, course_path: Path, as_json: bool) -> int:
    """Write the report on a class: distribution, pass rates by check, slow and flagged submissions.

    Runs no student code; students' names link to their feedback pages where these are written.
    """
    course, chosen = open_course(course_path, assignment)
    path = write_report(course, chosen)
    if as_json:
        echo_json({"report": str(path)})
    else:
        stdout().print(f"Class report: {path}", soft_wrap=True, markup=False)
    return 0


def write_report(course: Course, assignment: Assignment) -> Path:
    """Write the class report; its path."""
    from grader.reports import write_class_report
    from grader.reports.files import page_name

    records = latest_records(course, assignment)
    pages = {
        record.submission.student: course.feedback
        / page_name(assignment.name)
        / f"{page_name(record.submission.student)}.html"
        for record in records
    }
    return write_class_report(
        records,
        course.reports / f"{assignment.name}.html",
        course_title=course.title,
        assignment_title=assignment.title,
        pages={student: path for student, path in pages.items() if path.is_file()},
    )
