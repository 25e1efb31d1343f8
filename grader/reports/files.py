"""Pages as files: safe names, never half written.

Student ids are folder names that students may have chosen: an id becomes a file name only if it is plain, else it
is reduced to what is plain in it and the hash of the id. A page is written beside its place and moved there in one
step, so that a reader sees the old page or the new one.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from grader.files import replace_file
from grader.reports.class_report import class_report
from grader.reports.feedback import FeedbackPolicy, feedback_page
from grader.reports.leaderboard import leaderboard
from grader.reports.marks import marks_csv

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from grader.model import Record

__all__ = ["page_name", "write_class_report", "write_feedback", "write_leaderboard", "write_marks"]

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_RESERVED = re.compile(r"(?i:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?")
"""Device names that some file systems keep for themselves."""


def page_name(key: str) -> str:
    """A file name (without ending) for a student or an assignment; different ids give different names.

    ``ada``, ``ada.l-7`` stay; ``../x`` becomes ``x~`` and ten hex digits of its SHA-256 (``~`` is in no plain name).
    """
    if _PLAIN.fullmatch(key) and not key.endswith(".") and not _RESERVED.fullmatch(key):
        return key
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", key).strip("-")[:40]
    return f"{plain}~{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:10]}"


def write_feedback(
    records: Iterable[Record],
    folder: Path,
    *,
    course_title: str,
    assignment_title: str,
    policy: FeedbackPolicy = "rationale",
) -> dict[str, Path]:
    """Write ``<folder>/<assignment>/<student>.html`` for each record; a later record of a student replaces an earlier.

    Returns:
        The page of each student, by id.

    Raises:
        UsageError: A page cannot be written there.
    """
    pages: dict[str, Path] = {}
    taken: dict[str, str] = {}
    for record in records:
        student = record.submission.student
        name = page_name(student)
        if taken.setdefault(name.casefold(), student) != student:  # `Ada` and `ada` are one file on some systems
            name = f"{name}~{hashlib.sha256(student.encode('utf-8', 'surrogatepass')).hexdigest()[:10]}"
        path = folder / page_name(record.submission.assignment) / f"{name}.html"
        html = feedback_page(record, course_title=course_title, assignment_title=assignment_title, policy=policy)
        replace_file(path, html.encode())
        pages[student] = path
    return pages


def write_class_report(
    records: Sequence[Record],
    path: Path,
    *,
    course_title: str,
    assignment_title: str,
    pages: Mapping[str, Path] | None = None,
) -> Path:
    """Write the report on a class to ``path``; students' names link to their ``pages`` where there is one.

    Args:
        records: One a student.
        path: The file to write.
        course_title: As people read it.
        assignment_title: As people read it.
        pages: What ``write_feedback`` returned.

    Raises:
        UsageError: The report cannot be written there.
    """
    start = path.parent.resolve()

    def link(record: Record) -> str:
        page = (pages or {}).get(record.submission.student)
        return "" if page is None else quote(os.path.relpath(page.resolve(), start).replace(os.sep, "/"))

    html = class_report(records, course_title=course_title, assignment_title=assignment_title, link=link)
    replace_file(path, html.encode())
    return path


def write_leaderboard(records: Sequence[Record], path: Path, *, course_title: str, assignment_title: str) -> Path:
    """Write the leaderboard of a class to ``path``.

    Args:
        records: One a student, with cells: that is where aliases are.
        path: The file to write.
        course_title: As people read it.
        assignment_title: As people read it.

    Raises:
        UsageError: It cannot be written there.
    """
    html = leaderboard(records, course_title=course_title, assignment_title=assignment_title)
    replace_file(path, html.encode())
    return path


def write_marks(records: Sequence[Record], path: Path) -> Path:
    """Write the marks of a class to ``path``, as CSV.

    Args:
        records: One a student.
        path: The file to write.

    Raises:
        UsageError: It cannot be written there.
    """
    replace_file(path, marks_csv(records).encode("utf-8-sig"))
    return path
