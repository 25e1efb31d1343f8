"""One writer at a time: a lock on a file beside the journal.

A POSIX record lock belongs to the process that took it: the kernel drops it when that process dies, however it dies,
and children made by ``fork`` neither inherit it nor keep it alive (as ``flock`` would let them). It is dropped as
well when its owner closes *any* descriptor of the file, so the lock file is opened here only, and a table of what
this process holds stands in front of it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from grader.errors import JournalError, Place

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["WriterLock"]

_held: dict[str, int] = {}
"""Real path of each lock file → the process that took it (a forked child finds its parent's entries here)."""


class WriterLock:
    """The right to write to the journal at ``subject``; taken once, given back once."""

    def __init__(self, subject: Path) -> None:
        self._subject = subject
        self._path = subject.with_name(f"{subject.name}.lock")
        self._fd: int | None = None
        self._pid: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether this object, in this process, holds the lock."""
        return self._fd is not None and self._pid == os.getpid()

    def acquire(self) -> None:
        """Take the lock, or raise JournalError that names who has it."""
        key = os.path.realpath(self._path)
        if _held.get(key) == os.getpid():
            raise self._taken("this same process")
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(fd, 200, 0).decode(errors="replace").strip()
            os.close(fd)
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise self._taken(owner or "another process") from None
            raise JournalError(
                f"the file cannot be locked ({error.strerror})",
                place=Place(file=str(self._path)),
                remedy="keep the journal on a file system that knows locks, such as a local disk",
            ) from error
        _held[key] = os.getpid()
        self._fd, self._pid = fd, os.getpid()
        os.ftruncate(fd, 0)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        os.pwrite(fd, f"process {os.getpid()} on {socket.gethostname()}, since {since}\n".encode(), 0)

    def release(self) -> None:
        """Give the lock back. Idempotent; in a forked child it only forgets."""
        if self._fd is None:
            return
        if self.is_held:
            os.ftruncate(self._fd, 0)
            _held.pop(os.path.realpath(self._path), None)
        os.close(self._fd)
        self._fd = self._pid = None

    def _taken(self, owner: str) -> JournalError:
        return JournalError(
            f"the journal is being written to by {owner}",
            place=Place(file=str(self._subject)),
            remedy="wait until that run has ended, or stop it; a run that died is never in the way",
        )
