"""A change read from a git repository's objects: nothing is checked out, no filter, hook or driver runs.

Theory of operation. ``git`` is asked with plumbing commands that read objects only, without the user's and the
system's configuration, without replacement objects, and without fetching anything that is missing. Contents come from
``cat-file``, so no attribute that the change brings (filters, text conversion, LFS) applies; paths are separated by
NUL; a commit is named by its full id before it gets onto a command line.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grader.ci.change import MODES, Entry, NotThere, Touched
from grader.errors import ChangeError, Place
from grader.submissions import MAX_SUBMISSION_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["GitContent", "commit_of", "read_change"]

_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./~^@{}+-]{0,199}")
_MOST_LISTING_BYTES = 256 << 20
_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "",
    "LC_ALL": "C",
}
_OPTIONS = ("-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")


@dataclass(frozen=True, slots=True, kw_only=True)
class GitContent:
    """What a change holds, from the objects of a repository."""

    repository: Path
    entries: Mapping[str, Entry]
    touched: tuple[Touched, ...]

    def read(self, entry: Entry) -> bytes:
        """The bytes of a file. Raises NotThere."""
        try:
            size = int(_git(self.repository, "cat-file", "-s", entry.sha))
            if size > MAX_SUBMISSION_BYTES:
                raise NotThere(f"is larger than {MAX_SUBMISSION_BYTES >> 20} MiB")
            return _git(self.repository, "cat-file", "blob", entry.sha)
        except ChangeError:
            raise NotThere("is missing from the repository's objects") from None


def commit_of(repository: Path, revision: str) -> str:
    """The full id of a commit.

    Raises:
        ChangeError: there is no such commit, or no repository.
    """
    if not _REVISION.fullmatch(revision):
        raise ChangeError(f"{revision[:80]!r} names no commit", remedy="give a commit's id, a branch or a tag")
    try:
        found = _git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except ChangeError as error:
        if error.what.startswith("git "):
            raise ChangeError(
                f"there is no commit {revision}",
                place=Place(file=str(repository)),
                remedy="fetch it first; a shallow copy holds the last commits only",
            ) from None
        raise
    commit = found.decode("ascii", "replace").strip()
    if not _ID.fullmatch(commit):
        raise ChangeError(f"there is no commit {revision}", place=Place(file=str(repository)))
    return commit


def read_change(repository: Path, base: str, head: str) -> GitContent:
    """What ``head`` changes since it left ``base`` (full ids of commits).

    Raises:
        ChangeError: git cannot be had, or objects are missing.
    """
    since = _merge_base(repository, base, head)
    return GitContent(
        repository=repository, entries=_entries(repository, head), touched=tuple(_touched(repository, since, head))
    )


def _merge_base(repository: Path, base: str, head: str) -> str:
    """Where the two parted: what others merged meanwhile is none of this change's. Without one, the base itself."""
    try:
        found = _git(repository, "merge-base", base, head).decode("ascii", "replace").split()
    except ChangeError:
        return base  # histories that never met, or a shallow copy
    return found[0] if found and _ID.fullmatch(found[0]) else base


def _entries(repository: Path, commit: str) -> dict[str, Entry]:
    found = {}
    for line in _records(_git(repository, "ls-tree", "-r", "-z", "--full-tree", commit)):
        head, _, path = line.partition("\t")
        mode, _, sha = head.split(" ")
        found[path] = Entry(path=path, kind=MODES.get(mode, "link"), sha=sha)
    return found


def _touched(repository: Path, since: str, head: str) -> list[Touched]:
    """What changed, renames found."""
    raw = _git(
        repository, "diff-tree", "-r", "-z", "-M", "-l2000", "--name-status", "--no-ext-diff", "--no-textconv",
        "--ignore-submodules=none", since, head,
    )  # fmt: skip
    parts = iter(_records(raw))
    found = []
    for status in parts:
        path = next(parts)
        if status[:1] in ("R", "C"):
            before, path = path, next(parts)
            found.append(Touched(path=path, before=before if status[0] == "R" else None))
        else:
            found.append(Touched(path=path, removed=status == "D"))
    return found


def _records(raw: bytes) -> list[str]:
    """What NUL separates; bytes that are no UTF-8 become characters that show."""
    return [part.decode("utf-8", "backslashreplace") for part in raw.split(b"\0") if part]


def _git(repository: Path, *arguments: str) -> bytes:
    """What a plumbing command prints. Raises ChangeError."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(  # noqa: S603 - ids and fixed options only
            ["git", *_OPTIONS, "-C", str(repository), *arguments],  # noqa: S607 - the git of whoever runs this
            env={**clean, **_ENVIRONMENT},
            capture_output=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except FileNotFoundError:
        raise ChangeError("git is not installed", remedy="install git") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().split("\n")[-1][:300]
        if "not a git repository" in said or "cannot change to" in said:
            raise ChangeError(
                "this is no git repository",
                place=Place(file=str(repository)),
                remedy="run it in a copy of the students' repository, or name one with --repository",
            )
        raise ChangeError(f"git {arguments[0]} failed: {said or done.returncode}", place=Place(file=str(repository)))
    if len(done.stdout) > _MOST_LISTING_BYTES:
        raise ChangeError("the repository has more files than can be marked", place=Place(file=str(repository)))
    return done.stdout
