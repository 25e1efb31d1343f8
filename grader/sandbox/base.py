"""What a sandbox is: the protocol that every backend implements, and the figures that cross it.

Theory of operation. A ``Sandbox`` is started once for a run; it holds a warm *zygote* (or a pool of warm
containers) that has imported torch and seen nothing. ``spawn`` gives a fresh ``Guest``: a process tree in
namespaces of its own, at whose only open channel, the *wall*, ``grader.guest.worker.serve`` answers. The host owns
the other end. A ``Sandbox`` object may be used from processes forked after ``start``: ``spawn`` opens a channel of
its own, and a guest never outlives the process that spawned it.

The host supervises from outside: whoever waits on the wall calls ``Guest.poll`` about every 20 ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    import socket

__all__ = ["Capability", "Exit", "ExitCause", "Guest", "Limits", "Sandbox", "Usage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one submission may use in all. Times in seconds, sizes in bytes."""

    wall_s: float = 300.0
    """Backstop on the guest's life; calls have their own, shorter time-outs at the wall."""
    cpu_s: float = 120.0
    """CPU time of the whole process tree."""
    memory_bytes: int = 2 << 30
    """Memory of the whole tree, over what the warm zygote already held."""
    processes: int = 64
    """Processes and threads."""
    disk_bytes: int = 256 << 20
    """All private file systems together."""
    inodes: int = 10_000
    output_bytes: int = 1 << 20
    """Text kept of one cell; enforced by the worker, and by the host on what it accepts."""
    open_files: int = 256
    gpu_memory_bytes: int | None = None
    """Memory on the GPU for tensors, of the whole tree; None for guests that get no GPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a guest's process tree has used so far, read from outside."""

    cpu_s: float
    memory_bytes: int
    """Now."""
    peak_memory_bytes: int
    processes: int
    """Processes and threads now."""
    oom_kills: int = 0
    """Processes of the tree killed for memory so far. A fork inside can die so while the guest lives on."""


class ExitCause(StrEnum):
    """Why a guest is gone."""

    EXITED = "exited"
    """It ended by itself (``os._exit``, the end of the worker)."""
    SIGNALLED = "signalled"
    """A signal that was not ours (a segmentation fault)."""
    KILLED = "killed"
    """The host asked for it."""
    OUT_OF_MEMORY = "out-of-memory"
    GPU_MEMORY = "gpu-memory"
    """It held more on the GPU than it may."""
    CPU_TIME = "cpu-time"
    WALL_TIME = "wall-time"
    LOST = "lost"
    """The sandbox itself failed: ours, never the student's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a guest ended."""

    cause: ExitCause
    code: int | None = None
    """Exit status, or the signal's number for SIGNALLED."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """One line of ``grader doctor``: something the sandbox enforces here, or not."""

    id: str
    """memory, cpu, processes, disk, inodes, network, filesystem, seccomp, privileges, namespaces, gpu, …"""
    holds: bool
    how: str
    """What enforces it here (``cgroup v1 memory``), or why nothing can."""
    remedy: str | None = None


class Guest(Protocol):
    """One sandboxed process tree, from its first byte untrusted."""

    @property
    def wall(self) -> socket.socket:
        """The host's end of the wall: AF_UNIX, SOCK_STREAM, blocking."""

    @property
    def pid(self) -> int:
        """Its first process, as the host numbers it. Raises OSError when that is gone or cannot be seen."""

    def poll(self) -> Exit | None:
        """Sample usage and enforce limits: kill what is over one. None while the guest lives. Under 1 ms."""

    def usage(self) -> Usage:
        """What the tree has used so far; the last sample once it is gone."""

    def waited_s(self) -> float:
        """How long its living threads, added up, were ready to run and had no core: what a busy machine took away."""

    def interrupt(self) -> None:
        """Send SIGINT to the guest's init (a KeyboardInterrupt in the running cell)."""

    def kill(self) -> Exit:
        """Kill the whole tree by its pid namespace and wait for it. Idempotent."""

    def close(self) -> None:
        """Kill if need be and release every descriptor, cgroup and mount. Idempotent."""


class Sandbox(Protocol):
    """A backend that makes guests."""

    name: str

    def launch(self) -> None:
        """Begin to make ready and return at once; ``start`` then waits. Raises SandboxUnavailable with a remedy."""

    def start(self) -> None:
        """Make ready (start and warm the zygote). Raises SandboxUnavailable with a remedy."""

    def spawn(self, limits: Limits) -> Guest:
        """A fresh guest. Raises SandboxUnavailable when the backend is gone (callers may ``start`` again)."""

    def capabilities(self) -> tuple[Capability, ...]:
        """What is enforced on this machine and what is not. Needs no ``start``."""

    def close(self) -> None:
        """End the zygote and all guests. Idempotent."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...
