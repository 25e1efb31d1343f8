"""Control groups, version 1 and 2: limits and counts that hold for a whole guest, whatever it forks.

Theory of operation. ``find`` looks for a hierarchy that this process may really use: version 1 with the controllers
memory, pids and cpuacct (root), or version 2 with memory and pids (root, or a user to whom systemd delegated the
group that the process runs in). A run owns one folder in each hierarchy, ``grader-<pid>-<start time>-<n>``; each guest
has a folder below. The pid and start time tell the next run whose leftovers may go.

The warm zygote stays outside: pages that a guest inherits by fork are charged to the zygote, so a guest's figures
begin near zero and its limit is on top of what the warm process holds. A guest's private files are memory too, and
are counted as such.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from grader.sandbox.base import Limits, Usage

__all__ = [
    "Borrowed",
    "Group",
    "Hierarchy",
    "Version1",
    "Version2",
    "find",
    "of_process",
    "owner_is_gone",
    "owner_tag",
    "prime",
]

_PREFIX = "grader-"
_SUPERVISOR = "grader-supervisor"


_numbers = itertools.count()


def owner_tag() -> str:
    """``<pid>-<start time>-<n>``: new at each call, and tells which process made it."""
    pid = os.getpid()
    return f"{pid}-{_start_time(pid)}-{next(_numbers)}"


def owner_is_gone(tag: str) -> bool:
    """Whether the process that a name with an ``owner_tag`` in it speaks of has ended."""
    pid, _, rest = tag.partition("-")
    started = rest.partition("-")[0]
    if not (pid.isdigit() and started.isdigit()):
        return False  # not one of ours
    return _start_time(int(pid)) != int(started)


def _start_time(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[19])


class Group(Protocol):
    """The control group of one guest."""

    def add(self, pid: int) -> None:
        """Put a process in; its children follow."""

    def sample(self) -> Usage:
        """What all of its processes have used so far."""

    def close(self) -> None:
        """Kill what is left and remove the folder. Idempotent."""


class Hierarchy(Protocol):
    """The folder of one run."""

    how: str
    """``cgroup v1`` or ``cgroup v2``."""

    def open(self) -> None:
        """Make the run's folder and sweep those of dead runs."""

    def make(self, name: str, limits: Limits) -> Group:
        """A group with limits, empty as yet."""

    def close(self) -> None:
        """Remove the run's folder. Idempotent."""


class _Reader:
    """A control file that is read again and again: opened once."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._last = b""

    def text(self) -> str:
        with contextlib.suppress(OSError):  # the folder may be gone by now; the last figure stands
            self._last = os.pread(self._fd, 16384, 0)
        return self._last.decode()

    def number(self) -> int:
        return int(self.text() or 0)

    def field(self, key: str) -> int:
        for line in self.text().splitlines():
            name, _, value = line.partition(" ")
            if name == key:
                return int(value)
        return 0

    def close(self) -> None:
        os.close(self._fd)


def prime(*, mounts: Path = Path("/proc/self/mounts"), own: Path = Path("/proc/self/cgroup")) -> None:
    """Have the next ``Group.add`` within milliseconds be quick: to be called while the guest is still being made.

    Makes the kernel take its lock on moving processes, by moving this one to where it is. The first mover waits for an
    RCU grace period (5 to 13 ms, asleep), those shortly after do not. ``mounts`` and ``own`` as for ``find``.
    """
    with contextlib.suppress(OSError, KeyError):
        version1, version2 = _mounted(mounts)
        root, controller = (version1["memory"], "memory") if "memory" in version1 else (version2, "")
        if root is not None:
            (root / _places(own)[controller] / "cgroup.procs").write_text("0")  # whoever writes


def _remove(folder: Path) -> None:
    """Kill what a group holds and remove it; give up after a second, the next run sweeps."""
    deadline = time.monotonic() + 1
    while True:
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > deadline:
                return
            with contextlib.suppress(OSError):
                for pid in (folder / "cgroup.procs").read_text().split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
            time.sleep(0.002)
        else:
            return


def _remove_run(folder: Path) -> None:
    with contextlib.suppress(OSError):
        for child in folder.iterdir():
            if child.is_dir():
                _remove(child)
    _remove(folder)


def _sweep(root: Path) -> None:
    with contextlib.suppress(OSError):
        for folder in root.glob(f"{_PREFIX}*"):
            if owner_is_gone(folder.name.removeprefix(_PREFIX)):
                _remove_run(folder)


@dataclass(slots=True)
class _Group1:
    """Version 1: one folder in each of three hierarchies."""

    folders: dict[str, Path]
    """Empty when they are not ours to remove."""
    now: _Reader
    peak: _Reader
    cpu: _Reader
    count: _Reader
    oom: _Reader
    closed: bool = False

    @classmethod
    def read(cls, folders: dict[str, Path], *, owned: bool) -> _Group1:
        return cls(
            folders if owned else {},
            now=_Reader(folders["memory"] / "memory.usage_in_bytes"),
            peak=_Reader(folders["memory"] / "memory.max_usage_in_bytes"),
            cpu=_Reader(folders["cpuacct"] / "cpuacct.usage"),
            count=_Reader(folders["pids"] / "pids.current"),
            oom=_Reader(folders["memory"] / "memory.oom_control"),
        )

    def add(self, pid: int) -> None:
        for folder in self.folders.values():
            (folder / "cgroup.procs").write_text(str(pid))

    def sample(self) -> Usage:
        return Usage(
            cpu_s=self.cpu.number() / 1e9,
            memory_bytes=self.now.number(),
            peak_memory_bytes=self.peak.number(),
            processes=self.count.number(),
            oom_kills=self.oom.field("oom_kill"),
        )

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            for reader in (self.now, self.peak, self.cpu, self.count, self.oom):
                reader.close()
            for folder in self.folders.values():
                _remove(folder)


class Version1:
    """Version 1: separate hierarchies, here below ``/sys/fs/cgroup/<controller>``."""

    how = "cgroup v1"

    def __init__(self, roots: dict[str, Path]) -> None:
        tag = owner_tag()
        self._roots = roots
        self._runs = {controller: root / f"{_PREFIX}{tag}" for controller, root in roots.items()}

    def open(self) -> None:
        """Make the run's folders and sweep those of dead runs."""
        for controller, root in self._roots.items():
            _sweep(root)
            self._runs[controller].mkdir(exist_ok=True)

    def make(self, name: str, limits: Limits) -> Group:
        """A group with limits, empty as yet."""
        folders = {controller: run / name for controller, run in self._runs.items()}
        for folder in folders.values():
            folder.mkdir()
        memory, pids = folders["memory"], folders["pids"]
        (memory / "memory.limit_in_bytes").write_text(str(limits.memory_bytes))
        with contextlib.suppress(OSError):  # only where swap is counted
            (memory / "memory.memsw.limit_in_bytes").write_text(str(limits.memory_bytes))
        (pids / "pids.max").write_text(str(limits.processes))
        return _Group1.read(folders, owned=True)

    def close(self) -> None:
        """Remove the run's folders."""
        for run in self._runs.values():
            _remove_run(run)


@dataclass(slots=True)
class _Group2:
    """Version 2: one folder."""

    folder: Path | None
    """None when it is not ours to remove."""
    now: _Reader
    peak: _Reader | None
    """Linux 5.19 and later."""
    cpu: _Reader
    count: _Reader
    events: _Reader
    highest: int = 0
    closed: bool = False

    @classmethod
    def read(cls, folder: Path, *, owned: bool) -> _Group2:
        peak = folder / "memory.peak"
        return cls(
            folder if owned else None,
            now=_Reader(folder / "memory.current"),
            peak=_Reader(peak) if peak.exists() else None,
            cpu=_Reader(folder / "cpu.stat"),
            count=_Reader(folder / "pids.current"),
            events=_Reader(folder / "memory.events"),
        )

    def add(self, pid: int) -> None:
        if self.folder is not None:
            (self.folder / "cgroup.procs").write_text(str(pid))

    def sample(self) -> Usage:
        now = self.now.number()
        self.highest = max(self.highest, now, self.peak.number() if self.peak else 0)
        return Usage(
            cpu_s=self.cpu.field("usage_usec") / 1e6,
            memory_bytes=now,
            peak_memory_bytes=self.highest,
            processes=self.count.number(),
            oom_kills=self.events.field("oom_kill"),
        )

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            for reader in (self.now, self.peak, self.cpu, self.count, self.events):
                if reader is not None:
                    reader.close()
            if self.folder is not None:
                with contextlib.suppress(OSError):
                    (self.folder / "cgroup.kill").write_text("1")
                _remove(self.folder)


class Version2:
    """Version 2: one hierarchy, below the root or below the group that was delegated to us."""

    how = "cgroup v2"

    def __init__(self, root: Path) -> None:
        self._root = root
        self._run = root / f"{_PREFIX}{owner_tag()}"

    def open(self) -> None:
        """Make the run's folder and sweep those of dead runs."""
        _sweep(self._root)
        try:
            self._enable(self._root)
        except OSError:
            # A group that hands controllers down may hold no process itself: step aside into a leaf.
            leaf = self._root / _SUPERVISOR
            leaf.mkdir(exist_ok=True)
            for pid in (self._root / "cgroup.procs").read_text().split():
                (leaf / "cgroup.procs").write_text(pid)
            self._enable(self._root)
        self._run.mkdir(exist_ok=True)
        self._enable(self._run)

    @staticmethod
    def _enable(folder: Path) -> None:
        (folder / "cgroup.subtree_control").write_text("+memory +pids")

    def make(self, name: str, limits: Limits) -> Group:
        """A group with limits, empty as yet."""
        folder = self._run / name
        folder.mkdir()
        (folder / "memory.max").write_text(str(limits.memory_bytes))
        with contextlib.suppress(OSError):  # only where swap is counted
            (folder / "memory.swap.max").write_text("0")
        (folder / "pids.max").write_text(str(limits.processes))
        return _Group2.read(folder, owned=True)

    def close(self) -> None:
        """Remove the run's folder."""
        _remove_run(self._run)


def find(*, mounts: Path = Path("/proc/self/mounts"), own: Path = Path("/proc/self/cgroup")) -> Hierarchy | None:
    """The hierarchy that this process may use, tried for real; None when there is none.

    Args:
        mounts: where the kernel lists mounts.
        own: where the kernel lists the groups of this process.
    """
    version1, version2 = _mounted(mounts)
    candidates: list[Hierarchy] = []
    if len(version1) == 3:
        candidates.append(Version1(version1))
    if version2 is not None:
        # without the leaf into which an earlier call moved us
        relative = _places(own).get("", "").removesuffix(_SUPERVISOR).removesuffix("/")
        roots = [version2] if os.geteuid() == 0 and not (version2 / "cgroup.type").exists() else [version2 / relative]
        candidates += [Version2(root) for root in roots if _has_controllers(root)]
    return next((candidate for candidate in candidates if _works(candidate)), None)


def _mounted(mounts: Path) -> tuple[dict[str, Path], Path | None]:
    """Where the controllers of version 1 and the hierarchy of version 2 are."""
    version1: dict[str, Path] = {}
    version2: Path | None = None
    for line in mounts.read_text().splitlines():
        _, place, kind, options, *_ = line.split()
        if kind == "cgroup":
            version1.update({name: Path(place) for name in options.split(",") if name in ("memory", "pids", "cpuacct")})
        elif kind == "cgroup2":
            version2 = Path(place)
    return version1, version2


def _places(own: Path) -> dict[str, str]:
    """A process's groups, below the mounts of their hierarchies: by controller, and ``""`` for version 2."""
    lines = [line.split(":", 2) for line in own.read_text().splitlines()]
    return {name: place.lstrip("/") for _, names, place in lines for name in names.split(",")}


class Borrowed:
    """The group that somebody else made for a process: read, from now on, and not ours to remove.

    What it held when this was made does not count. Cached files do not either: the kernel drops them when it must.
    """

    def __init__(self, group: _Group1 | _Group2, stat: _Reader, *, prefix: str) -> None:
        self._group = group
        self._stat = stat
        self._prefix = prefix
        self._start = group.sample()
        self.held_bytes = self._start.memory_bytes - self._cached()
        """What it held when this was made."""
        self._highest = 0

    def sample(self) -> Usage:
        """What its processes have used since."""
        now, start = self._group.sample(), self._start
        memory = max(0, now.memory_bytes - self._cached() - self.held_bytes)
        self._highest = max(self._highest, memory)
        if now.peak_memory_bytes > start.peak_memory_bytes:  # the kernel saw more than the samples
            self._highest = max(self._highest, now.peak_memory_bytes - start.memory_bytes)
        return Usage(
            cpu_s=now.cpu_s - start.cpu_s,
            memory_bytes=memory,
            peak_memory_bytes=self._highest,
            processes=now.processes,
            oom_kills=now.oom_kills - start.oom_kills,
        )

    def close(self) -> None:
        """Release what is open."""
        self._group.close()
        self._stat.close()

    def _cached(self) -> int:
        return sum(self._stat.field(f"{self._prefix}{which}_file") for which in ("active", "inactive"))


def of_process(pid: int, *, mounts: Path = Path("/proc/self/mounts"), proc: Path = Path("/proc")) -> Borrowed | None:
    """The group that a process is in, to be read; None where it cannot be.

    Args:
        pid: the process.
        mounts: where the kernel lists mounts.
        proc: where the kernel tells of processes.
    """
    version1, version2 = _mounted(mounts)
    try:
        places = _places(proc / str(pid) / "cgroup")
        if len(version1) == 3:
            folders = {name: root / places[name] for name, root in version1.items()}
            stat = _Reader(folders["memory"] / "memory.stat")
            return Borrowed(_Group1.read(folders, owned=False), stat, prefix="total_")
        if version2 is not None:
            folder = version2 / places[""]
            return Borrowed(_Group2.read(folder, owned=False), _Reader(folder / "memory.stat"), prefix="")
    except (OSError, KeyError):
        pass
    return None


def _has_controllers(root: Path) -> bool:
    try:
        controllers = (root / "cgroup.controllers").read_text().split()
    except OSError:
        return False
    return {"memory", "pids"} <= set(controllers) and os.access(root / "cgroup.subtree_control", os.W_OK)


def _works(hierarchy: Hierarchy) -> bool:
    try:
        hierarchy.open()
        try:
            hierarchy.make("probe", Limits()).close()
        finally:
            hierarchy.close()
    except OSError:
        return False
    return True
