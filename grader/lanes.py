"""How many submissions this machine marks at a time: cores, memory and GPUs are budgets."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from grader.sandbox import gpus
from grader.sandbox.gpu_watch import CONTEXT_BYTES

if TYPE_CHECKING:
    from grader.config import Assignment

__all__ = ["Lanes", "lanes_for"]

KEPT_BACK_BYTES = 1 << 30
"""Memory for the marker, the zygote and the rest of the machine."""
FORK_BYTES = 100 << 20
"""What the fork of the marker beside a guest may come to use itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lanes:
    """Submissions at the same time."""

    at_a_time: int
    most: int
    """With those that go on beside a submission that has become a long one; between one and two times as many."""
    why: str
    """What allows no more."""


def lanes_for(assignment: Assignment, wished: int | None = None) -> Lanes:
    """The lanes for an assignment on this machine.

    A core each; memory for each as much as its limit, for a class may be hostile; and where submissions get a GPU, its
    memory likewise, or one at a time where nobody tells how much it has. ``wished`` (``--workers``) overrides it all.
    """
    if wished is not None:
        return Lanes(at_a_time=wished, most=wished, why="--workers")
    cores = _cores()
    each = assignment.limits.memory_bytes + FORK_BYTES
    by_memory = max(1, (_free_bytes() - KEPT_BACK_BYTES) // each)
    budgets = {f"{cores} cores": cores, f"memory, {each >> 20} MiB each": by_memory}
    if assignment.gpu != "never" and isinstance(gpu := gpus.find(), gpus.Gpu):
        each = assignment.limits.gpu_memory_bytes + CONTEXT_BYTES
        budgets[f"memory of the GPU, {each >> 20} MiB each"] = max(1, (gpu.memory_bytes or 0) // each)
    why, lanes = min(budgets.items(), key=lambda item: item[1])
    most = min(2 * lanes, *(number for what, number in budgets.items() if "cores" not in what))
    return Lanes(at_a_time=lanes, most=max(lanes, most), why=why)


def _cores() -> int:
    """Cores that this process may use: those it is bound to, or fewer by its control group's quota."""
    cores = len(os.sched_getaffinity(0))
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            cores = min(cores, max(1, round(int(quota) / int(period))))
    return cores


def _free_bytes() -> int:
    """Memory that can be had: the machine's, or less by this control group's limit."""
    free = 1 << 62
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    with contextlib.suppress(OSError, ValueError):
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        free = min(free, limit - int(Path("/sys/fs/cgroup/memory.current").read_text()))
    return free
