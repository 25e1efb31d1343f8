"""What of a change counts as handed in, whose it is, and what is left aside: pure, on names and modes only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from grader.ci.bundle import BundleContent
from grader.ci.change import Entry, NotThere

if TYPE_CHECKING:
    from collections.abc import Iterable

    from grader.ci.change import Content, PullRequest
    from grader.config import Course

__all__ = ["HandedIn", "Remark", "Selection", "bundle_remarks", "select"]

Reason = Literal[
    "not-yours", "course-file", "link", "submodule", "lfs", "removed", "renamed", "missing", "bundle", "other"
]
FLAGGED: frozenset[Reason] = frozenset({"not-yours", "course-file", "link", "submodule", "missing", "bundle"})
"""What an instructor may want to look at."""
ENDINGS = (".ipynb", ".zip")
_STUDENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LFS = b"version https://git-lfs"
_COURSE_FILES = {"course.yaml", "course.schema.json", "conftest.py", "pytest.ini", "pyproject.toml", "Makefile"}
_COURSE_FOLDERS = {".github", ".gitlab", ".gitea", ".forgejo", "solutions", "grader"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something about the change that people should know. It never takes a point."""

    reason: Reason
    path: str | None
    """Untrusted text."""
    text: str
    """A sentence without anything of the submission's."""

    @property
    def is_flag(self) -> bool:
        """Whether an instructor may want to look."""
        return self.reason in FLAGGED


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedIn:
    """One student's work on one assignment, in a change."""

    student: str
    assignment: str
    files: tuple[tuple[Entry, bytes], ...]
    """The notebook, or all that might be it when there are several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a change comes down to."""

    handed_in: tuple[HandedIn, ...]
    remarks: tuple[Remark, ...]


def select(content: Content, pull: PullRequest, course: Course) -> Selection:
    """Which assignments of which students a change hands in.

    A path that fits the course's layout (``<assignment>/…``, or ``<student>/<assignment>/…``) and holds a notebook or
    an archive counts. With a known author only the author's own folder does. Everything else is left aside: the
    course's own files are used, whatever the change says.
    """
    own = None if pull.author is None else course.ci.students.get(pull.author, pull.author)
    chosen: dict[tuple[str, str], None] = {}
    remarks: list[Remark] = []
    if own is not None and not _STUDENT.fullmatch(own):
        remarks.append(Remark(reason="not-yours", path=None, text="The author's name cannot be a student's id."))
        return Selection(handed_in=(), remarks=tuple(remarks))
    for touched in content.touched:
        for path in dict.fromkeys((touched.path, touched.before or touched.path)):
            key = _place(path, course, own)
            remark = _remark(path, key, course, own, removed=touched.removed or path == touched.before)
            if remark is not None:
                remarks.append(remark)
            elif key is not None:
                chosen[key] = None
    handed_in = []
    for student, assignment in chosen:
        files, found = _files(content, student, assignment, course)
        remarks += found
        if files:
            handed_in.append(HandedIn(student=student, assignment=assignment, files=tuple(files)))
    return Selection(handed_in=tuple(handed_in), remarks=tuple(dict.fromkeys(remarks)))


def bundle_remarks(content: Content, pull: PullRequest) -> list[Remark]:
    """What is odd about the bundle that brought the bytes, if one did."""
    if not isinstance(content, BundleContent):
        return []
    found = [Remark(reason="bundle", path=None, text=problem) for problem in content.bundle.problems]
    claimed = content.bundle.claimed_head
    if content.bundle.blobs and claimed != pull.head:
        text = "The bundle of this run says that it is of another commit. Only what is in this one was marked."
        found.append(Remark(reason="bundle", path=None, text=text))
    return found


def _place(path: str, course: Course, own: str | None) -> tuple[str, str] | None:
    """Whose folder for which assignment ``path`` lies in; None when it lies in none."""
    known = {assignment.name for assignment in course.assignments}
    parts = path.split("/")
    if course.ci.layout == "folder":
        if len(parts) < 3 or parts[1] not in known or not _STUDENT.fullmatch(parts[0]):
            return None
        return parts[0], parts[1]
    if len(parts) < 2 or parts[0] not in known:
        return None
    return own or "me", parts[0]


def _remark(path: str, key: tuple[str, str] | None, course: Course, own: str | None, *, removed: bool) -> Remark | None:
    """Why ``path`` does not count; None when it may."""
    parts = path.split("/")
    if parts[0] in _COURSE_FOLDERS or parts[-1] in _COURSE_FILES or path.startswith(".git"):
        text = "Belongs to the course. The change was left aside, and the course's own is used."
        return Remark(reason="course-file", path=path, text=text)
    if key is None:
        if course.ci.layout == "folder" and own is not None and len(parts) > 1 and parts[0] != own:
            return Remark(reason="not-yours", path=path, text="Lies outside of the author's folder. Left aside.")
        return Remark(reason="other", path=path, text="Is no part of an assignment. Left aside.")
    if own is not None and key[0] != own:
        return Remark(reason="not-yours", path=path, text="Is another student's. Left aside.")
    depth = 3 if course.ci.layout == "folder" else 2
    if len(parts) != depth or not path.lower().endswith(ENDINGS):
        inner = "/".join(parts[depth - 1 :])
        if inner in ("test_public.py", "given.py") or inner.startswith("data/"):
            text = "Belongs to the course. The change was left aside, and the course's own is used."
            return Remark(reason="course-file", path=path, text=text)
        return Remark(reason="other", path=path, text="Is not marked: the notebook alone is.")
    if removed:
        return Remark(reason="removed", path=path, text="Was removed or renamed. What was marked before stays marked.")
    return None


def _files(
    content: Content, student: str, assignment: str, course: Course
) -> tuple[list[tuple[Entry, bytes]], list[Remark]]:
    """The files that are, or may be, the notebook, as the head commit has them."""
    folder = f"{student}/{assignment}/" if course.ci.layout == "folder" else f"{assignment}/"
    remarks: list[Remark] = []
    there = []
    for path, entry in sorted(content.entries.items()):
        name = path.removeprefix(folder)
        if not path.startswith(folder) or "/" in name or name.startswith("."):
            continue
        if entry.kind == "submodule" or (entry.kind == "link" and name.lower().endswith(ENDINGS)):
            what = "a submodule" if entry.kind == "submodule" else "a symbolic link"
            remarks.append(
                Remark(reason=entry.kind, path=path, text=f"Is {what}, which is not followed. Commit the file itself.")
            )
        elif entry.kind == "file" and name.lower().endswith(ENDINGS):
            there.append(entry)
    files = []
    for entry in _chosen(there, f"{folder}{assignment}"):
        try:
            data = content.read(entry)
        except NotThere as why:
            text = f"It {why}, so it was not marked. Push again, with the workflows as the course has them."
            remarks.append(Remark(reason="missing", path=entry.path, text=text))
            continue
        if data.startswith(_LFS):
            text = "Is a Git LFS pointer, not the notebook. Commit the notebook itself."
            remarks.append(Remark(reason="lfs", path=entry.path, text=text))
        files.append((entry, data))
    return files, remarks


def _chosen(there: Iterable[Entry], stem: str) -> list[Entry]:
    """The entry that has the assignment's name; without one, all of the first kind there is."""
    found = list(there)
    for ending in ENDINGS:
        kind = [entry for entry in found if entry.path.lower().endswith(ending)]
        named = [entry for entry in kind if entry.path == f"{stem}{ending}"]
        if kind:
            return named or kind[:20]
    return []
