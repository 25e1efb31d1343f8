"""Find what was handed in and read its bytes, trusting neither names nor kinds of files.

The layout is nbgrader's: ``submitted/<student>/<assignment>/<notebook>.ipynb``. A renamed notebook is found when it is
the only one; links, devices and pipes are never followed or opened.
"""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from grader.model import SubmissionRef

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MAX_SUBMISSION_BYTES", "Submission", "find", "load"]

MAX_SUBMISSION_BYTES = 64 << 20
TIMESTAMP = "timestamp.txt"
NOT_IDS = "._-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One submission: whose it is and its bytes."""

    ref: SubmissionRef
    data: bytes
    problem: str | None = None
    """Why there are no bytes to mark: a sentence for the student."""


def find(folder: Path, assignment: str, *, students: frozenset[str] = frozenset()) -> list[tuple[str, Path]]:
    """Students and the folders they handed in for an assignment, sorted by student id.

    Args:
        folder: ``submitted``.
        assignment: the assignment's name.
        students: only these; all if empty.
    """
    if not folder.is_dir():
        return []
    found = []
    for entry in sorted(os.scandir(folder), key=lambda each: each.name):
        if entry.name.startswith(".") or not entry.is_dir(follow_symlinks=False):
            continue
        if students and entry.name not in students:
            continue
        place = folder / entry.name / assignment
        if os.path.lexists(place):  # a link or a file there is a submission too: one with nothing in it
            found.append((entry.name, place))
    return found


def load(student: str, place: Path, assignment: str, root: Path) -> Submission:
    """Read the notebook in one student's folder; whatever is wrong becomes a sentence on the submission."""
    name, data, problem = _notebook(place, assignment)
    path = place / name if name else place
    received = _received(place, path)
    relative = os.path.relpath(path, root)
    ref = SubmissionRef(
        student=student,
        name=_display(student),
        assignment=assignment,
        path=_plain(relative),
        sha256=hashlib.sha256(data).hexdigest(),
        received_at=received,
    )
    return Submission(ref=ref, data=data, problem=problem)


def _notebook(place: Path, assignment: str) -> tuple[str | None, bytes, str | None]:
    if place.is_symlink() or not place.is_dir():
        return None, b"", "Your submission is not a folder. Hand in the folder itself, with your notebook in it."
    try:
        entries = sorted(entry.name for entry in os.scandir(place) if not entry.name.startswith("."))
    except OSError:
        return None, b"", "Your submission cannot be opened: its folder is not readable. Hand it in again."
    wanted = f"{assignment}.ipynb"
    if wanted in entries:
        name = wanted
    else:
        notebooks = [each for each in entries if each.lower().endswith(".ipynb")]
        if len(notebooks) != 1:
            many = f"There are {len(notebooks)} notebooks in your submission, none of them called {wanted}."
            what = many if notebooks else "There is no notebook in your submission."
            return None, b"", f"{what} Hand in {wanted}."
        name = notebooks[0]
    data, problem = _read(place / name)
    return name, data, problem


def _read(path: Path) -> tuple[bytes, str | None]:
    """The bytes of a regular file, or why there are none. Never follows a link and never waits for a pipe."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b"", "Your notebook cannot be opened: it is a link or is not readable. Hand in the file itself."
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return b"", "Your notebook is not a file. Hand in the .ipynb file itself."
        if status.st_size > MAX_SUBMISSION_BYTES:
            most = MAX_SUBMISSION_BYTES >> 20
            return b"", f"Your notebook is larger than {most} MiB. Clear its outputs (Kernel → Restart & Clear Output)."
        with open(fd, "rb", closefd=False) as file:
            return file.read(MAX_SUBMISSION_BYTES), None
    except OSError as error:
        return b"", f"Your notebook cannot be read ({error.strerror}). Hand it in again."
    finally:
        os.close(fd)


def _received(place: Path, path: Path) -> str | None:
    """When it was handed in: nbgrader's timestamp file if there is one, else the file's own time."""
    data, problem = _read(place / TIMESTAMP)
    when = _moment(data[:100].decode("ascii", "ignore").strip()) if problem is None else None
    if when is not None:
        return when.isoformat()
    try:
        return datetime.fromtimestamp(path.lstat().st_mtime, tz=UTC).isoformat()
    except OSError:
        return None


def _moment(text: str) -> datetime | None:
    """As nbgrader writes it (``2026-03-01 12:00:00 Europe/Berlin``) or ISO 8601; UTC unless it says otherwise."""
    date, _, zone = text.rpartition(" ")
    try:
        if zone[:1].isalpha():
            return datetime.fromisoformat(date).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        when = datetime.fromisoformat(text)
    except (ValueError, OverflowError, ZoneInfoNotFoundError, OSError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _display(student: str) -> str:
    return _plain(student.strip(NOT_IDS) or student)


def _plain(text: str) -> str:
    """Text without control characters, undecodable bytes made visible."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(c if unicodedata.category(c)[0] != "C" else "�" for c in text)[:500]
