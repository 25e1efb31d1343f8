"""A pull request as data: which one, what it touches, and what its head holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MODES", "Content", "Entry", "Gone", "NotThere", "PullRequest", "Touched"]

Kind = Literal["file", "link", "submodule"]
MODES: dict[str, Kind] = {"100644": "file", "100755": "file", "100664": "file", "120000": "link", "160000": "submodule"}


class Gone(Exception):
    """There is nothing to mark any more: closed, or pushed over. ``str`` of it is a sentence that says why."""


class NotThere(Exception):
    """A file's bytes cannot be had; ``str`` of it is a clause that says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest:
    """Which change is marked: the words of the forge, or of whoever typed the command."""

    base: str
    """Commit that it is to be merged into."""
    head: str
    """Commit that is marked."""
    number: int | None = None
    author: str | None = None
    """Whose pull request it is, by the forge's account; None when nobody says."""
    received_at: str | None = None
    """ISO 8601: when the forge saw it. Never a commit's date, which its author writes."""
    url: str | None = None
    where: str = ""
    """What people read: ``octo-org/class#7``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One path in the head commit."""

    path: str
    kind: Kind
    sha: str
    """Id of its git object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """One path that the change touches."""

    path: str
    """After the change; of a removed file, before it."""
    before: str | None = None
    """The path that it was renamed from."""
    removed: bool = False


class Content(Protocol):
    """What a change holds; ``repository`` and ``bundle`` give it."""

    @property
    def entries(self) -> Mapping[str, Entry]:
        """Every path of the head commit."""
        ...

    @property
    def touched(self) -> tuple[Touched, ...]:
        """Every path that it changes."""
        ...

    def read(self, entry: Entry) -> bytes:
        """The bytes of a file. Raises NotThere."""
        ...
