"""Many guests: at once, under load, and in a row; and what is left of them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from grader.sandbox.base import ExitCause
from grader.sandbox.conformance.bench import ask, control_groups_of, descendants, tell, until
from grader.sandbox.conformance.case import case, cases_of, expect

if TYPE_CHECKING:
    from grader.sandbox.conformance.bench import Bench

__all__ = ["CASES"]

GUESTS = 200


@case()
def start_and_kill_under_load(bench: Bench) -> None:
    """While six guests compute and fork without end, others start, answer and end, and the six can be killed."""
    busy = []
    for number in range(6):
        guest = bench.spawn()
        busy.append((guest, bench.label(guest)))
        compute = "while True: pass"
        fork = "import os\nwhile True:\n    if os.fork() == 0: os._exit(0)\n    os.wait()"
        tell(guest, fork if number % 2 else compute)
    for number in range(6):
        guest = bench.spawn()
        expect(ask(guest, "out = number", number=number) == number, "a guest gave another's answer")
        guest.close()
    for guest, _ in busy:
        ended = guest.poll()
        expect(ended is None, f"a guest that only computes ended by {ended}")
    for guest, label in reversed(busy):
        expect((ended := guest.kill()).cause is ExitCause.KILLED, f"a kill under load is told as {ended}")
        bench.nothing_is_left(label, guest.wall)


@case()
def nothing_is_left_of_two_hundred_guests(bench: Bench) -> None:
    """Two hundred guests in a row leave no process, descriptor, mount, control group or byte in TMPDIR behind."""
    for _ in range(2):  # what a backend makes only once is made
        bench.spawn().close()
    own = os.getpid()
    descriptors, helpers, mounts = _descriptors(), descendants(own), _mounts()
    files, usual = _files(bench.folder), control_groups_of(own)
    groups: set[Path] = set()
    labels = []
    for number in range(GUESTS):
        guest = bench.spawn()
        if number % 10 == 0:
            labels.append(bench.label(guest))
            ask(guest, "import os, time\nif os.fork() == 0: time.sleep(1000)")
            for pid in bench.processes(labels[-1]):
                groups |= control_groups_of(pid) - usual
        guest.close()
    for label in labels:
        bench.nothing_is_left(label)
    until(
        lambda: len(descendants(own)) <= len(helpers),
        f"after {GUESTS} guests there are helper processes that were not there: {descendants(own) - helpers}",
    )
    left = _descriptors() - descriptors
    expect(left <= 0, f"after {GUESTS} guests {left} descriptors more are open")
    new_mounts = _mounts() - mounts
    # Others mount things too; a leak is one a guest.
    expect(len(new_mounts) < GUESTS // 10, f"after {GUESTS} guests {len(new_mounts)} mounts more are there")
    # A backend that keeps guests at the ready has others now than before; a leak is one a guest.
    expect(
        len(new := _files(bench.folder) - files) < GUESTS // 10, f"after {GUESTS} guests files are left: {sorted(new)}"
    )
    old = [str(group) for group in groups if group.is_dir()]
    expect(not old, f"control groups of guests that are gone are left: {old}")


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def _mounts() -> set[str]:
    return set(Path("/proc/self/mountinfo").read_text().splitlines())


def _files(folder: Path) -> set[tuple[str, int]]:
    """Everything below a folder, with its size."""
    found = set()
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            found.add((str(path.relative_to(folder)), path.lstat().st_size if path.is_file() else 0))
    return found


CASES = cases_of(globals())
