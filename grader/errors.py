"""Every error the grader raises for its users, with the exit code of each class.

    GraderError                     1 is left to --strict, so ours start at 2
    ├── UsageError              2   the command line asks for something that makes no sense
    ├── CourseError             3   course.yaml, a check file or an assignment folder is wrong
    ├── ReleaseError            4   a release would leak something hidden, or cannot be made
    ├── SandboxUnavailable      5   no sandbox can be had on this machine
    ├── JournalError            6   the journal or the gradebook cannot be read or written
    ├── RunInterrupted          7   Ctrl-C, SIGTERM; what was marked is kept
    ├── InternalError           8   the grader itself is at fault; please report
    ├── ChangeError             9   what a pull request changes cannot be read
    └── ForgeError             10   GitHub, GitLab or Gitea said no, or nothing

Only ``grader.cli`` catches these and prints them. What goes wrong in a *submission* is never one of
these: it is a verdict on the record (see ``grader.model.Verdict``).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "ChangeError",
    "CourseError",
    "ForgeError",
    "GraderError",
    "InternalError",
    "JournalError",
    "Place",
    "ReleaseError",
    "RunInterrupted",
    "SandboxUnavailable",
    "UsageError",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something is wrong: a file, and as much of the position in it as is known."""

    file: str
    line: int | None = None
    """One-based line number, when the file format gives one."""
    key: str | None = None
    """Dotted key (``assignments[2].points``) or test name (``test_softmax_value``)."""

    def __str__(self) -> str:
        text = self.file if self.line is None else f"{self.file}:{self.line}"
        return text if self.key is None else f"{text} {self.key}"


class GraderError(Exception):
    """Something a person must mend: what happened, where, and what to do next.

    ``str(error)`` is what the command line prints: ``place: what``, then the remedy on a second line.
    """

    exit_code = 8

    def __init__(self, what: str, *, place: Place | None = None, remedy: str | None = None) -> None:
        self.what = what
        self.place = place
        self.remedy = remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        first = self.what if self.place is None else f"{self.place}: {self.what}"
        return first if self.remedy is None else f"{first}\n  → {self.remedy}"

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.what, self.place, self.remedy))


def _rebuild(cls: type[GraderError], what: str, place: Place | None, remedy: str | None) -> GraderError:
    return cls(what, place=place, remedy=remedy)


class UsageError(GraderError):
    """The command line asks for something that makes no sense."""

    exit_code = 2


class CourseError(GraderError):
    """``course.yaml``, a check file or an assignment folder is wrong."""

    exit_code = 3


class ReleaseError(GraderError):
    """A release would leak something hidden, or cannot be made."""

    exit_code = 4


class SandboxUnavailable(GraderError):
    """No sandbox can be had on this machine, or not with the limits that an assignment requires."""

    exit_code = 5


class JournalError(GraderError):
    """The journal or the gradebook cannot be read or written."""

    exit_code = 6


class RunInterrupted(GraderError):
    """The run was stopped from outside; everything marked so far is kept."""

    exit_code = 7


class InternalError(GraderError):
    """The grader itself is at fault."""

    exit_code = 8


class ChangeError(GraderError):
    """What a pull request changes cannot be read: no repository, no such commit, no event that names one."""

    exit_code = 9


class ForgeError(GraderError):
    """GitHub, GitLab or Gitea did not answer, or refused."""

    exit_code = 10
