"""One guest seen, and held still, from outside: what a timed check needs besides the wall.

Theory of operation. While the reference is timed, the student's processes are *stopped* (SIGSTOP, which nothing inside
can refuse, not even pid 1): nobody can slow the reference by using the machine, or go on computing after a reply. The
walk over the tree is repeated until it finds no process that it did not stop before; a tree that grows faster than that
is a fault of the student's.

Both sides of a race are bound to one core: of two, one of which something else keeps busy, each could find another.

Each process has a clock of its CPU time (``clock_getcpuclockid(3)``), which stands still while it waits for a core. It
is a witness only against whom the host's clock has found slow: who sleeps uses none of it.

Memory is the kernel's own account of resident pages (``VmHWM``, set back before a call through ``clear_refs``), so a
guest cannot understate it. Helpers that a process starts count with what they hold when the call ends, and where there
is a control group its peak counts too.

**Not defended**: CPU time and, without a control group, memory of a helper process that is gone before the call ends;
memory that the notebook took when it was loaded and fills only now. The limit on all its memory holds for both.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from grader.sandbox.watch import tree_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grader.sandbox.base import Guest

__all__ = ["Peak", "Restless", "go_on", "held_still", "on_cores", "ran_s"]

_WALKS = 50
_CPU_CLOCK = 2
"""Which of a process's clocks: that of the time it had a core (``CPUCLOCK_SCHED``); the bits above hold its number."""


class Restless(Exception):
    """The guest starts processes faster than they can be stopped."""


@contextlib.contextmanager
def held_still(guest: Guest | None) -> Iterator[None]:
    """Stop all of a guest's processes for the length of a block. Does nothing without a guest.

    Raises:
        Restless: they cannot all be stopped.
    """
    if guest is None:
        yield
        return
    try:
        _stop(guest)
        yield
    finally:
        go_on(guest)


def _stop(guest: Guest) -> None:
    stopped: set[int] = set()
    with contextlib.suppress(OSError):  # gone: the wall will say so
        for _ in range(_WALKS):
            fresh = set(tree_of(guest.pid)) - stopped
            if not fresh:
                return
            for pid in fresh:
                _signal(pid, signal.SIGSTOP)
            stopped |= fresh
        raise Restless


def go_on(guest: Guest) -> None:
    """Let a stopped guest go on."""
    with contextlib.suppress(OSError):
        for pid in tree_of(guest.pid):
            _signal(pid, signal.SIGCONT)


def on_cores(root: int, cores: set[int]) -> None:
    """Bind a process and all below it to some cores, as far as this user may."""
    with contextlib.suppress(OSError):
        for pid in tree_of(root):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.sched_setaffinity(pid, cores)


def ran_s(root: int) -> float:
    """The CPU time that a process and all that descend from it have used so far, in seconds; 0.0 if it is gone."""
    total = 0.0
    with contextlib.suppress(OSError):
        for pid in tree_of(root):
            with contextlib.suppress(OSError):
                total += time.clock_gettime(~pid << 3 | _CPU_CLOCK)
    return total


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # a container of another user's goes on running
        os.kill(pid, number)


class Peak:
    """How far the memory of a guest rises while a block runs, in ``grown_bytes``.

    Where this user may not look into the guest's processes (a container of another user's), its control group tells.

    Args:
        guest: whose memory. Without one, that of the process ``root`` and all below it.
        root: a process; this very one unless told otherwise.

    Raises:
        OSError: the guest is gone.
    """

    def __init__(self, guest: Guest | None, root: int | None = None) -> None:
        self._guest = guest
        self._root = root or os.getpid()
        self.grown_bytes = 0

    def __enter__(self) -> Self:
        self._before: dict[int, int] = {}
        self._closed: set[int] = set()
        for pid in self._processes():
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                try:
                    Path(f"/proc/{pid}/clear_refs").write_text("5")  # VmHWM := VmRSS
                except PermissionError:
                    self._closed.add(pid)
                self._before[pid] = _status(pid)["VmRSS"]
        self._usage = None if self._guest is None else self._guest.usage()
        return self

    def __exit__(self, *_: object) -> None:
        grown = 0
        for pid in set(self._processes()) - self._closed:
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                grown += max(0, _status(pid)["VmHWM"] - self._before.get(pid, 0))
        self.grown_bytes = grown
        if self._guest is not None and self._usage is not None:
            now = self._guest.usage()
            if now.peak_memory_bytes > self._usage.peak_memory_bytes:
                self.grown_bytes = max(grown, now.peak_memory_bytes - self._usage.memory_bytes)

    def _processes(self) -> list[int]:
        return tree_of(self._root if self._guest is None else self._guest.pid)


def _status(pid: int) -> dict[str, int]:
    """Sizes in bytes. A process that has ended and waits for its parent has none."""
    found = {"VmRSS": 0, "VmHWM": 0}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in found:
            found[name] = int(rest.split()[0]) * 1024
    return found
