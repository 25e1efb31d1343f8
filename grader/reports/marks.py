"""The marks of a class as a table: CSV for a spreadsheet, or for whatever keeps a university's grades.

Every student with a record has a row, also who cannot be in nbgrader's gradebook. A held submission has no points at
all: empty cells, where a 0 could be taken for a mark. RFC 4180, in UTF-8 with a mark for spreadsheets; no cell begins a
formula, whichever delimiter a spreadsheet takes (OWASP, "CSV injection").
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from grader.files import FORMULA
from grader.reports import text
from grader.reports.class_report import exercises_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grader.model import Record

__all__ = ["marks_csv"]

_COLUMNS = ("student", "name", "status", "score", "max_score", "to_be_marked_by_hand", "received_at", "flags")
_LONGEST = 200


def marks_csv(records: Sequence[Record]) -> str:
    """A row a student, sorted by id; after the columns that all assignments have, one with the points of each exercise.

    Args:
        records: One a student (the latest marking).
    """
    exercises = exercises_of(records)
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow([*_COLUMNS, *(_cell(f"{exercise.id} (of {_number(exercise.points)})") for exercise in exercises)])
    for record in sorted(records, key=lambda record: record.submission.student):
        points = {} if record.is_held else {each.exercise.id: each for each in record.exercises}
        submission = record.submission
        writer.writerow(
            [
                _cell(submission.student),
                _cell(submission.name),
                record.status.value,
                "" if record.score is None else _number(record.score),
                _number(record.max_score),
                _number(sum(each.pending for each in points.values())) if points else "",
                _cell(submission.received_at or ""),
                _cell(" ".join(dict.fromkeys(flag.id for flag in record.flags))),
                *(_number(points[each.id].earned) if each.id in points else "" for each in exercises),
            ]
        )
    return table.getvalue()


def _cell(value: str) -> str:
    """Text on one line in which nothing is calculated: an apostrophe stands before what would be."""
    return FORMULA.sub(r"\g<0>'", text.display_name(value, limit=_LONGEST)) if value else ""


def _number(points: float) -> str:
    return f"{points:.6f}".rstrip("0").rstrip(".")
