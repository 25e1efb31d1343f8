"""Reading what a process tree uses from the host's ``/proc``: the watch where no control group can be had.

Theory of operation. All processes of a guest are descendants of its pid 1, because orphans fall to it. A sample walks
that tree and adds up CPU time and memory. What a guest inherited from the zygote is not counted; memory that several
of its processes share is counted once, but only when the cheap sum is over the limit already, for exactness costs
milliseconds.

**Not defended**: a child that lives shorter than the time between two samples, and whose parent ignores its end,
hides its CPU time (wall time bounds it). Files in the private tmpfs are not in these figures; ``disk_bytes`` bounds
them on top.
"""

from __future__ import annotations

import contextlib
import os
import signal

from grader.sandbox.base import Usage

__all__ = ["TreeWatch", "machine_oom_kills", "pid_of", "tree_of", "waited_s"]

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def _text(path: str) -> str:
    """A file of /proc. Read dozens of times a submission: a ``Path`` would cost more than the kernel does."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(fd, 1 << 16):
            parts.append(part)
        return b"".join(parts).decode("ascii", "replace")
    finally:
        os.close(fd)


def machine_oom_kills() -> int:
    """How many processes the kernel has killed for memory on this machine since it started."""
    with contextlib.suppress(OSError):
        for line in _text("/proc/vmstat").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def pid_of(pidfd: int) -> int:
    """The pid, in our namespace, that a descriptor stands for. Raises OSError when it is gone."""
    for line in _text(f"/proc/self/fdinfo/{pidfd}").splitlines():
        if line.startswith("Pid:") and int(line.split()[1]) > 0:
            return int(line.split()[1])
    raise ProcessLookupError("the guest is gone")


def waited_s(pid: int) -> float:
    """How long the threads of a tree, added up, were ready to run and had no core; 0 where nobody counts."""
    waited = 0
    for each in tree_of(pid):
        with contextlib.suppress(OSError, ValueError, IndexError):
            for thread in os.listdir(f"/proc/{each}/task"):
                waited += int(_text(f"/proc/{each}/task/{thread}/schedstat").split()[1])
    return waited / 1e9


def tree_of(root: int) -> list[int]:
    """A process and all that descend from it."""
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{pid}/task"):
                todo += map(int, _text(f"/proc/{pid}/task/{thread}/children").split())
    return found


class TreeWatch:
    """Samples one guest's processes, and kills the one that is too big."""

    def __init__(self, pid: int, *, inherited_bytes: int, memory_limit: int) -> None:
        self._pid = pid
        self._inherited = inherited_bytes
        self._limit = memory_limit
        self._cpu_s = 0.0
        self._peak = 0
        self._kills = 0

    def sample(self) -> Usage:
        """What the tree uses now; CPU time and peak never fall."""
        cpu = 0.0
        sizes: dict[int, int] = {}
        threads = 0
        for pid in tree_of(self._pid):
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
                cpu += sum(int(ticks) for ticks in fields[11:15]) * _TICK_S  # own and of children waited for
                threads += int(fields[17])
                sizes[pid] = self._grown(pid)
        memory = sum(sizes.values())
        if memory > self._limit and len(sizes) > 1:
            memory = self._exact(tuple(sizes))
        self._cpu_s = max(self._cpu_s, cpu)
        self._peak = max(self._peak, memory)
        if memory > self._limit:
            self._shrink(sizes)
        return Usage(
            cpu_s=self._cpu_s,
            memory_bytes=memory,
            peak_memory_bytes=self._peak,
            processes=threads,
            oom_kills=self._kills,
        )

    def close(self) -> None:
        """Nothing is held."""

    def _grown(self, pid: int) -> int:
        """Writable memory of one process beyond what it inherited: private, and shared between processes."""
        anonymous = shared = 0
        for line in _text(f"/proc/{pid}/status").splitlines():
            if line.startswith("RssAnon:"):
                anonymous = int(line.split()[1]) * 1024
            elif line.startswith("RssShmem:"):
                shared = int(line.split()[1]) * 1024
        return max(0, anonymous - self._inherited) + shared

    def _exact(self, pids: tuple[int, ...]) -> int:
        """The tree's memory with shared pages counted once; in doubt too little, by what the zygote shares."""
        total = 0
        for pid in pids:
            with contextlib.suppress(OSError):
                for line in _text(f"/proc/{pid}/smaps_rollup").splitlines():
                    if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                        total += int(line.split()[1]) * 1024
        return max(0, total - self._inherited * len(pids) // (len(pids) + 2))

    def _shrink(self, sizes: dict[int, int]) -> None:
        """Kill the largest process, as the kernel would: a forked check before the notebook that it came from."""
        # On a tie the youngest goes: a fork has all that its parent has.
        largest = max(sizes, key=lambda pid: (sizes[pid], pid != self._pid, pid))
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(largest)
            try:
                if largest in tree_of(self._pid):  # still the same process, now that the handle holds it
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                    self._kills += 1
            finally:
                os.close(handle)
