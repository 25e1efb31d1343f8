"""What cases work with: a started sandbox, guests that end with their case, and what the host can see of them."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import shutil
import signal
import socket
import tempfile
import textwrap
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from grader.sandbox.base import Exit, Guest, Limits
from grader.sandbox.conformance.case import expect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from grader.sandbox.base import Sandbox

__all__ = [
    "LIMITS",
    "SECRET",
    "WORKER",
    "WORKER_FOLDER",
    "Bench",
    "Make",
    "ask",
    "control_groups_of",
    "descendants",
    "end_of",
    "everybody",
    "kill_process",
    "tell",
    "until",
]

LIMITS = Limits(wall_s=300, cpu_s=60, memory_bytes=256 << 20, processes=24, disk_bytes=8 << 20, inodes=200)
"""What guests get unless a case says otherwise."""
SECRET = "GRADER_CONFORMANCE_SECRET"  # noqa: S105 - a name
"""A variable of the host's that no guest may see."""

WORKER = "line_worker"
"""The suite's own worker, which executes lines that it is sent,"""
WORKER_FOLDER = Path(__file__).with_name("inside")
"""and where it lies."""

_PATIENCE_S = 120.0
"""How long a machine may take over what should take moments; nothing is judged by time."""


class Make(Protocol):
    """Makes a sandbox whose guests run a worker of the suite's."""

    def __call__(self, *, worker: str, worker_folder: Path) -> Sandbox:
        """A sandbox that has not been started."""


class Bench:
    """A sandbox under test, started when the bench is entered.

    Args:
        make: makes the sandbox.

    Raises:
        SandboxUnavailable: on entering, when the sandbox cannot be started.
    """

    def __init__(self, make: Make) -> None:
        self._make = make
        self._guests: list[Guest] = []
        self._undo = contextlib.ExitStack()
        self._labels = itertools.count()
        self.folder = Path()
        """``TMPDIR`` while the bench is open."""
        self.sandbox: Sandbox
        """Shared by all cases: none may break it."""

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            self.folder = Path(tempfile.mkdtemp(prefix="bench-"))
            undo.callback(shutil.rmtree, self.folder, ignore_errors=True)
            undo.enter_context(_variables({SECRET: "hidden", "TMPDIR": str(self.folder)}))
            self.sandbox = self.make()
            undo.callback(self.sandbox.close)
            self.sandbox.start()
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._undo.close()

    def make(self, *, worker: str = WORKER) -> Sandbox:
        """Another sandbox, not started."""
        return self._make(worker=worker, worker_folder=WORKER_FOLDER)

    def holds(self, capability: str) -> bool:
        """Whether the backend says that a capability holds here."""
        return any(line.id == capability and line.holds for line in self.sandbox.capabilities())

    @contextlib.contextmanager
    def tidied(self) -> Iterator[None]:
        """Close every guest that is spawned meanwhile, at the end."""
        try:
            yield
        finally:
            while self._guests:
                self._guests.pop().close()

    def spawn(self, **changes: float) -> Guest:
        """A guest with ``LIMITS``, or others; closed when its case ends."""
        guest = self.sandbox.spawn(Limits(**{**asdict(LIMITS), **changes}))
        self._guests.append(guest)
        return guest

    def label(self, guest: Guest) -> str:
        """Give the guest, and what it forks from now on, a name that the host finds again with ``processes``."""
        label = f"c{os.getpid()}-{next(self._labels)}"[:15]
        named = ask(guest, "open('/proc/self/comm', 'w').write(label); out = True", label=label)
        expect(named is True, f"a guest must be able to write its own /proc/self/comm; it said {named!r}")
        return label

    def processes(self, label: str) -> list[int]:
        """Host pids of all living processes with a label; none where the host cannot see into guests at all."""
        found = []
        for entry in os.listdir("/proc"):
            with contextlib.suppress(OSError, IndexError):
                if entry.isdigit() and Path(f"/proc/{entry}/comm").read_text().rstrip("\n") == label:
                    state = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[0]
                    found += [] if state in "ZX" else [int(entry)]
        return found

    def nothing_is_left(self, label: str, wall: socket.socket | None = None) -> None:
        """Wait until no process with the label lives, and nobody holds the guest's end of ``wall``."""
        until(lambda: not self.processes(label), f"processes of a guest outlive it: {self.processes(label)}")
        if wall is not None:
            until(lambda: _is_silent(wall), "something still holds the guest's end of the wall after its end")

    def in_a_fork(self, work: Callable[[], object]) -> int:
        """Start ``work`` in a process forked from this one, which then waits to be killed; its pid."""
        child = os.fork()
        if child == 0:
            try:
                work()
                time.sleep(_PATIENCE_S * 2)
            finally:
                os._exit(1)
        return child


def tell(guest: Guest, source: str, **values: object) -> None:
    """Have the guest execute ``source`` with ``values`` as names, and do not wait."""
    message = {"source": textwrap.dedent(source), "values": values}
    guest.wall.sendall(json.dumps(message).encode() + b"\n")


def ask(guest: Guest, source: str, **values: object) -> Any:
    """What the guest answers to ``source``, or its ``Exit``; the host polls meanwhile, as it must."""
    with contextlib.suppress(BrokenPipeError):  # gone already
        tell(guest, source, **values)
    received = b""
    deadline = time.monotonic() + _PATIENCE_S
    while not received.endswith(b"\n"):
        expect(time.monotonic() < deadline, "the guest neither answered nor ended")
        ended = guest.poll()
        if select.select([guest.wall], [], [], 0.02)[0]:
            part = guest.wall.recv(1 << 16)
            if not part:
                return guest.poll() or guest.kill()
            received += part
        elif ended is not None:
            return ended
    return json.loads(received)


def end_of(guest: Guest, source: str = "pass", **values: object) -> Exit:
    """How the guest ends by ``source``, when nobody but the limits stops it."""
    with contextlib.suppress(BrokenPipeError):  # gone already
        tell(guest, source, **values)
    deadline = time.monotonic() + _PATIENCE_S
    while (ended := guest.poll()) is None:
        expect(time.monotonic() < deadline, f"the guest ought to have ended, and lives: {guest.usage()}")
        time.sleep(0.005)
    return ended


def until(what: Callable[[], object], otherwise: str) -> None:
    """Wait until something is so; an AssertionError says ``otherwise`` when it never is."""
    deadline = time.monotonic() + _PATIENCE_S
    while not what():
        expect(time.monotonic() < deadline, otherwise)
        time.sleep(0.01)


def everybody() -> set[tuple[int, int]]:
    """Pid and start time of every living process on the host: together they are unique."""
    return {(pid, started) for pid, (_, started) in _processes().items()}


def descendants(pid: int) -> set[tuple[int, int]]:
    """Pid and start time of all that a process started, and what that started."""
    everyone = _processes()
    children: dict[int, list[int]] = {}
    for each, (parent, _) in everyone.items():
        children.setdefault(parent, []).append(each)
    found, todo = set(), list(children.get(pid, ()))
    while todo:
        each = todo.pop()
        found.add((each, everyone[each][1]))
        todo += children.get(each, ())
    return found


def control_groups_of(pid: int) -> set[Path]:
    """Folders of the control groups that a process is in, where the host has mounted them; the roots are nobody's."""
    found = set()
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            for top in (controllers, "unified", "."):
                folder = Path("/sys/fs/cgroup") / top / path.lstrip("/")
                if path != "/" and folder.is_dir():
                    found.add(folder)
    return found


def _processes() -> dict[int, tuple[int, int]]:
    """Parent and start time of every living process, by pid."""
    found = {}
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError, IndexError):
            if entry.isdigit():
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
                if fields[0] not in "ZX":
                    found[int(entry)] = (int(fields[1]), int(fields[19]))
    return found


def _is_silent(wall: socket.socket) -> bool:
    """Whether the other end of the wall is closed by everyone; what still arrives is thrown away."""
    try:
        while wall.recv(1 << 16, socket.MSG_DONTWAIT):
            pass
    except BlockingIOError:
        return False
    except OSError:  # reset, or closed at our end
        return True
    return True


@contextlib.contextmanager
def _variables(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables for a while; ``tempfile`` looks at them anew."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    tempfile.tempdir = None
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        tempfile.tempdir = None


def kill_process(pid: int) -> None:
    """Kill a child of this process and collect it."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
