"""From what a change hands in to what the marker finds: files in ``submitted``, a receive time, a seed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from grader.files import replace_file
from grader.marker import assignment_version
from grader.submissions import TIMESTAMP

if TYPE_CHECKING:
    from grader.ci.selection import HandedIn
    from grader.config import Assignment, Course

__all__ = ["collect", "seed_of"]


def collect(course: Course, work: HandedIn, received_at: str | None) -> str:
    """Put a student's work where ``grader grade`` looks for it; the path in the change that will be marked.

    Its files are named by us, and what lay there before of its kind goes: the change decides what is handed in.
    """
    folder = course.submitted / work.student / work.assignment
    if folder.is_dir():
        for old in folder.iterdir():
            if old.name == TIMESTAMP or old.suffix.lower() in (".ipynb", ".zip"):
                old.unlink()
    several = len(work.files) > 1
    for number, (entry, data) in enumerate(work.files, 1):
        ending = entry.path[entry.path.rindex(".") :].lower()
        replace_file(folder / f"{number if several else work.assignment}{ending}", data)
    if received_at is not None:
        replace_file(folder / TIMESTAMP, received_at.encode("ascii", "ignore") + b"\n")
    return work.files[0][0].path


def seed_of(course: Course, assignment: Assignment, head: str) -> int:
    """The run seed of a commit: the same each time, and known to nobody who does not hold the hidden checks."""
    text = f"{assignment_version(course, assignment)} {head}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")
