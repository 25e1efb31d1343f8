"""``grader report``: the class report, and the marks as CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from grader.cli.feedback import latest_records
from grader.cli.options import as_json, assignment_argument, course_option, echo_json, open_course, stdout

if TYPE_CHECKING:
    from pathlib import Path

    from grader.config import Assignment, Course

__all__ = ["TITLES", "report", "write_report"]

TITLES = {"report": "Class report", "marks": "Marks (CSV)", "leaderboard": "Leaderboard"}


@click.command()
@assignment_argument
@course_option
@as_json
def report(assignment: str | None, course_path: Path, as_json: bool) -> int:
    """Write the report on a class: distribution, pass rates by check, slow and flagged submissions.

    Runs no student code; students' names link to their feedback pages where these are written. Beside it lies a CSV
    file with everybody's points by exercise, and with `leaderboard: true` in course.yaml a leaderboard for the class.
    """
    course, chosen = open_course(course_path, assignment)
    written = write_report(course, chosen)
    if as_json:
        echo_json({what: str(path) for what, path in written.items()})
    else:
        for what, path in written.items():
            stdout().print(f"{TITLES[what]}: {path}", soft_wrap=True, markup=False)
    return 0


def write_report(course: Course, assignment: Assignment) -> dict[str, Path]:
    """Write the class report, the marks, and the leaderboard if there is one; their paths, by key of ``TITLES``."""
    from grader.reports import write_class_report, write_leaderboard, write_marks
    from grader.reports.files import page_name

    records = latest_records(course, assignment)
    pages = {
        record.submission.student: course.feedback
        / page_name(assignment.name)
        / f"{page_name(record.submission.student)}.html"
        for record in records
    }
    titles = {"course_title": course.title, "assignment_title": assignment.title}
    pages = {student: path for student, path in pages.items() if path.is_file()}
    written = {
        "report": write_class_report(records, course.reports / f"{assignment.name}.html", pages=pages, **titles),
        "marks": write_marks(records, course.reports / f"{assignment.name}.csv"),
    }
    if assignment.leaderboard:
        path = course.reports / f"{assignment.name}-leaderboard.html"
        written["leaderboard"] = write_leaderboard(records, path, **titles)
    return written
