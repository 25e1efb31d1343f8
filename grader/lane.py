"""The exclusive lane: one timed check at a time on a machine, whoever runs it.

A lock on a file in the machine's temporary folder. The kernel lets it go when its holder ends, however it ends.
Guests have a temporary folder of their own and cannot reach it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["alone"]


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Have the machine's lane for the length of a block. Waits for as long as another has it."""
    fd = _open(Path(tempfile.gettempdir()) / "grader-lane-cpu.lock")
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _open(place: Path) -> int:
    """The lock's file, made if need be; everybody may lock it, nobody writes to it."""
    with contextlib.suppress(FileNotFoundError):
        # Not O_CREAT at once: the kernel refuses that for another user's file in a sticky folder.
        return os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with contextlib.suppress(FileExistsError):
        return os.open(place, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    return os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
