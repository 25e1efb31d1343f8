"""The folder that nbgrader's formgrader opens: executed notebooks beside the gradebook's marks."""

from __future__ import annotations

import contextlib
import json
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from grader.config import Assignment, Course
    from grader.gradebook.journal import Journal
    from grader.model import Record

__all__ = ["FOLDER", "write_for_formgrader"]

FOLDER = "nbgrader"
"""Beside course.yaml: ``source/`` and ``autograded/``, as nbgrader lays them out."""


def write_for_formgrader(
    course: Course, assignment: Assignment, records: Iterable[Record], journal: Journal
) -> list[str]:
    """Write the executed notebook of each record that is newer than what is there, and the assignment's own.

    Args:
        course: for its folder.
        assignment: what the records are of.
        records: one a student; those of files that are no notebook are left out.
        journal: where the records' cells lie.

    Returns:
        What a person should know, a sentence each.
    """
    from grader.errors import JournalError
    from grader.files import replace_file
    from grader.gradebook.database import autograded_path
    from grader.notebook import NotANotebook, executed, read, repair
    from grader.release import read_released
    from grader.submissions import find, load

    root = course.root / FOLDER
    source = root / "source" / assignment.name / assignment.notebook_path.name
    replace_file(source, assignment.notebook_path.read_bytes())
    released = read_released(course, assignment)
    places = dict(find(course.submitted, assignment.name))
    notices = []
    for record in records:
        try:
            path = autograded_path(root, record.submission.student, assignment.name)
        except JournalError as error:
            notices.append(str(error))
            continue
        cells = journal.cells(record) if _is_older(path, record.marked_at) else ()
        place = places.get(record.submission.student)
        if not cells or place is None:
            continue
        submission = load(record.submission.student, place, assignment.name, course.root)
        if submission.ref.sha256 != record.submission.sha256:
            continue  # gone or replaced since: the gradebook has its marks
        with contextlib.suppress(NotANotebook):
            notebook = repair(read(submission.data), released)
            replace_file(path, json.dumps(executed(notebook, cells, released=released), ensure_ascii=True).encode())
    return notices


def _is_older(path: Path, marked_at: str) -> bool:
    return not path.is_file() or path.stat().st_mtime < datetime.fromisoformat(marked_at).timestamp()
