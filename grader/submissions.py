"""Find what was handed in and read its bytes, trusting neither names nor kinds of files.

The layout is nbgrader's: ``submitted/<student>/<assignment>/<notebook>.ipynb``. A renamed notebook is found when it is
the only one; without one, a ZIP archive in that folder, or ``submitted/<student>/<assignment>.zip``, may hold it.
Links, devices and pipes are never followed or opened, nor is somebody else's file read through a hard link.
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

from grader.errors import Place, UsageError
from grader.model import SubmissionRef
from grader.notebook.archive import BadArchive, notebook_in

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MAX_SUBMISSION_BYTES", "Submission", "find", "load"]

MAX_SUBMISSION_BYTES = 64 << 20
TIMESTAMP = "timestamp.txt"
ARCHIVE = ".zip"
NOT_IDS = "._-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One submission: whose it is and its bytes."""

    ref: SubmissionRef
    data: bytes
    problem: str | None = None
    """Why there are no bytes to mark: a sentence for the student."""


def find(folder: Path, assignment: str, *, students: frozenset[str] = frozenset()) -> list[tuple[str, Path]]:
    """Students and the folders (or archives) they handed in for an assignment, sorted by the folder's name.

    Args:
        folder: ``submitted``.
        assignment: the assignment's name.
        students: only these; all if empty.

    Raises:
        UsageError: the folder may not be read.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda each: each.name) if folder.is_dir() else []
    except OSError as error:
        remedy = "grade as the user it belongs to, or give yours the right to read it"
        what = f"the submissions cannot be listed: {error.strerror}"
        raise UsageError(what, place=Place(file=str(folder)), remedy=remedy) from error
    found = []
    for entry in entries:
        if entry.name.startswith(".") or not entry.is_dir(follow_symlinks=False):
            continue
        student = os.fsencode(entry.name).decode("utf-8", "backslashreplace")
        if students and student not in students:
            continue
        own = folder / entry.name
        places = [own / assignment, own / f"{assignment}{ARCHIVE}"]
        place = next((each for each in places if _is_there(each)), None)
        if place is not None:  # a link or a pipe there is a submission too: one with nothing in it
            found.append((student, place))
    return found


def _is_there(path: Path) -> bool:
    """Whether something is there, or nobody can tell because the student's folder is closed to us."""
    try:
        path.lstat()
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def load(student: str, place: Path, assignment: str, root: Path) -> Submission:
    """Read what one student handed in at ``place``; whatever is wrong becomes a sentence on the submission."""
    path, raw, problem = _handed_in(place, assignment)
    data = raw
    if problem is None and path.name.lower().endswith(ARCHIVE):
        try:
            data = notebook_in(raw, f"{assignment}.ipynb")
        except BadArchive as error:
            data, problem = b"", str(error)
    ref = SubmissionRef(
        student=student,
        name=_display(student),
        assignment=assignment,
        path=_plain(os.path.relpath(path, root)),
        sha256=hashlib.sha256(raw).hexdigest(),
        received_at=_received(place, path),
    )
    return Submission(ref=ref, data=data, problem=problem)


def _handed_in(place: Path, assignment: str) -> tuple[Path, bytes, str | None]:
    """The file that counts, its bytes, and what is wrong with it."""
    try:
        kind = place.lstat().st_mode
        if stat.S_ISREG(kind) and place.name == f"{assignment}{ARCHIVE}":
            return place, *_read(place, "archive")
        if not stat.S_ISDIR(kind):
            told = "Your submission is not a folder. Hand in the folder itself, with your notebook in it."
            return place, b"", told
        entries = sorted(entry.name for entry in os.scandir(place) if not entry.name.startswith("."))
    except OSError:
        return place, b"", "Your submission cannot be opened: its folder is not readable. Hand it in again."
    wanted = f"{assignment}.ipynb"
    if wanted in entries:
        return place / wanted, *_read(place / wanted)
    for ending, what in ((".ipynb", "notebook"), (ARCHIVE, "archive")):
        found = [each for each in entries if each.lower().endswith(ending)]
        if len(found) > 1:
            told = f"There are {len(found)} {what}s in your submission, none of them called {wanted}."
            return place, b"", f"{told} Hand in {wanted}."
        if found:
            return place / found[0], *_read(place / found[0], what)
    return place, b"", f"There is no notebook in your submission. Hand in {wanted}."


def _read(path: Path, what: str = "notebook") -> tuple[bytes, str | None]:
    """The bytes of a regular file, or why there are none. Never follows a link and never waits for a pipe.

    A hard link to somebody else's file is none of the student's: it counts as a link. Where all belongs to one user, as
    in a copy that a backup made of links, it is a file like any other.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b"", f"Your {what} cannot be opened: it is a link or is not readable. Hand in the file itself."
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            ending = ARCHIVE if what == "archive" else ".ipynb"
            return b"", f"Your {what} is not a file. Hand in the {ending} file itself."
        if status.st_nlink > 1 and status.st_uid != path.parent.lstat().st_uid:
            return b"", f"Your {what} is a hard link to somebody else's file. Hand in a file of your own."
        if status.st_size > MAX_SUBMISSION_BYTES:
            most = MAX_SUBMISSION_BYTES >> 20
            return b"", f"Your {what} is larger than {most} MiB. Clear its outputs (Kernel → Restart & Clear Output)."
        with open(fd, "rb", closefd=False) as file:
            return file.read(MAX_SUBMISSION_BYTES), None
    except OSError as error:
        return b"", f"Your {what} cannot be read ({error.strerror}). Hand it in again."
    finally:
        os.close(fd)


def _received(place: Path, path: Path) -> str | None:
    """When it was handed in: nbgrader's timestamp file if there is one, else the file's own time."""
    try:
        if stat.S_ISDIR(place.lstat().st_mode):  # never through a link
            data, problem = _read(place / TIMESTAMP)
            when = _moment(data[:100].decode("ascii", "ignore").strip()) if problem is None else None
            if when is not None:
                return when.isoformat()
        return datetime.fromtimestamp(path.lstat().st_mtime, tz=UTC).isoformat()
    except (OSError, ValueError, OverflowError):  # a time beyond the year 9999 is no time
        return None


def _moment(text: str) -> datetime | None:
    """As nbgrader writes it (``2026-03-01 12:00:00 Europe/Berlin``) or ISO 8601; UTC unless it says otherwise."""
    date, _, zone = text.rpartition(" ")
    try:
        if zone[:1].isalpha():
            return datetime.fromisoformat(date).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        when = datetime.fromisoformat(text)
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        when.astimezone(UTC)  # whoever reads it will
    except (ValueError, OverflowError, ZoneInfoNotFoundError, OSError):
        return None
    return when


def _display(student: str) -> str:
    return _plain(student.strip(NOT_IDS) or student)


def _plain(text: str) -> str:
    """Text without control characters, undecodable bytes made visible."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(c if unicodedata.category(c)[0] != "C" else "�" for c in text)[:500]
