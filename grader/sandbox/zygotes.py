"""The host's side of a zygote: launch it, ask it for guests, end it.

Both backends that fork their guests (``bubblewrap`` and ``unsandboxed``) are a ``Zygote`` with another command in
front. The protocol is told in ``grader.guest.zygote``. The zygote listens at a socket in a folder that only this user
can enter; processes forked from this one connect to it by path, so each has guests of its own, which end with it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader.errors import SandboxUnavailable
from grader.sandbox import cgroups, gpus
from grader.sandbox.guests import Channel, Meter, ZygoteGuest, readable
from grader.sandbox.watch import TreeWatch, pid_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from grader.sandbox.base import Limits

__all__ = ["FOLDER", "GUEST_FOLDER", "WORKER", "Launch", "Zygote", "guest_environment", "pid_of", "remove_remains"]

GUEST_FOLDER = Path(__file__).resolve().parent.parent / "guest"
"""The only code of ours that guests see."""
WORKER = "grader.guest.worker"
MODULES = ("numpy", "torch", "safetensors.torch", "IPython.core.interactiveshell")
"""What every zygote has imported."""

_WARM_S = 120.0
_SPAWN_S = 30.0
FOLDER = "grader-sandbox-"
"""What the names of temporary folders begin with; an owner tag follows."""
_guests = itertools.count()
_NO_GPU = gpus.environment(None)


def guest_environment(
    *, home: str, temporary: str, path: str, python_path: str, gpu: Mapping[str, str] = _NO_GPU
) -> dict[str, str]:
    """The whole environment of a guest: nothing is inherited from ours.

    Args:
        home: its home folder.
        temporary: its folder for temporary files.
        path: where programs are looked for.
        python_path: where modules are.
        gpu: what ``grader.sandbox.gpus.environment`` says; without it a guest is told of no GPU.
    """
    return {
        "PATH": path,
        "PYTHONPATH": python_path,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",  # the order of sets is part of what a seed replays
        "HOME": home,
        "USER": "student",
        "LOGNAME": "student",
        "TMPDIR": temporary,
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "MPLBACKEND": "agg",
        "MPLCONFIGDIR": f"{temporary}/matplotlib",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        **gpu,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How to start a zygote."""

    command: Callable[[Path], list[str]]
    """From the zygote's private folder to the command line, up to and including the interpreter."""
    confine: bool
    preload: tuple[str, ...] = ()
    """Modules to import besides ``MODULES``."""
    worker: str = WORKER
    count_processes: bool = True
    """Whether the kernel's limit on processes counts this guest alone."""
    module: str = "grader.guest.zygote"
    """What speaks the zygote's protocol."""
    settings: dict[str, Any] = field(default_factory=dict)
    """For that module, besides those of every zygote."""
    environment: dict[str, str] | None = None
    """Ours to pass on; None for a search path only."""
    spawn_s: float = _SPAWN_S
    """How long a guest may take to be there."""
    end_s: float = 5.0
    """How long the process may take to clear up when it is told to end."""


class Zygote:
    """A zygote, warming up from the moment it is made; ``ready`` waits until it is warm.

    Raises:
        SandboxUnavailable: it cannot start; the error holds what it said.
    """

    guest_class = ZygoteGuest

    def __init__(self, launch: Launch, *, probe: bool = False) -> None:
        self._launch = launch
        self._owner = os.getpid()
        self.folder = _private_folder()
        self.report: dict[str, Any] = {}
        self._path = self.folder / "zygote"
        self._init: int | None = None
        self._pipe: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._start(probe=probe)
            if probe:
                self.ready()
        except BaseException:
            self.close()
            raise

    def ready(self) -> None:
        """Wait until it can fork guests. Raises SandboxUnavailable, after which it is closed."""
        if self.report:
            return
        try:
            self._await()
        except BaseException:
            self.close()
            raise

    def _start(self, *, probe: bool) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._pipe = ours
        me = os.pidfd_open(os.getpid())
        info_read, info_write = os.pipe()
        said = (self.folder / "stderr").open("w+b")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, listener, said:
            try:
                listener.bind(str(self._path))
                listener.listen(128)
                settings = {
                    "listen_fd": listener.fileno(),
                    "owner_fd": theirs.fileno(),
                    "owner_pidfd": me,
                    "confine": self._launch.confine,
                    "preload": [] if probe else [*MODULES, *self._launch.preload],
                    "worker": self._launch.worker,
                    "probe": probe,
                    "folder": str(self.folder),
                    **self._launch.settings,
                }
                command = self._launch.command(self.folder)
                if self._launch.confine:
                    command[1:1] = ["--info-fd", str(info_write)]
                self._process = subprocess.Popen(  # noqa: S603 - our own command, no shell
                    [*command, "-m", self._launch.module, json.dumps(settings)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                    env=self._launch.environment or {"PATH": os.environ.get("PATH", "/usr/bin:/bin")},
                    cwd="/",
                    pass_fds=(listener.fileno(), theirs.fileno(), me, info_write),
                )
            finally:
                os.close(info_write)
                os.close(me)
            theirs.close()
            self._init = _init_of(info_read) if self._launch.confine else None
            os.close(info_read)

    def _await(self) -> None:
        assert self._pipe is not None
        self._pipe.settimeout(_WARM_S)
        try:
            message = self._pipe.recv(1 << 16)
        except TimeoutError:
            message = b'{"event": "failed", "what": "it was not ready in time"}'
        except ConnectionError:
            message = b""
        self.report = json.loads(message) if message else {"event": "failed", "what": ""}
        if self.report["event"] == "failed":
            lines = (self.folder / "stderr").read_text(errors="replace").strip().splitlines()
            what = self.report["what"] or (lines[-1] if lines else "it ended without a word")
            raise SandboxUnavailable(f"the warm process could not start: {what}")

    def spawn(self, limits: Limits, hierarchy: cgroups.Hierarchy | None) -> ZygoteGuest:
        """Fork a guest. May be called in any process forked from the one that started the zygote.

        Raises SandboxUnavailable when the zygote is gone or the guest could not be confined.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        channel = Channel(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        with contextlib.ExitStack() as undo:
            for opened in (ours, theirs, channel.socket):  # without its channel, the keeper ends what was begun
                undo.callback(opened.close)
            try:
                # Its folder is gone when the process that started the sandbox is starting it again.
                group = hierarchy.make(f"{os.getpid()}-{next(_guests)}", limits) if hierarchy is not None else None
                if group is not None:
                    undo.callback(group.close)
                self._ask(channel, theirs, limits, grouped=group is not None)
                if group is not None:
                    cgroups.prime()
                pidfd, meter = self._await_guest(channel, limits, group, undo)
                channel.socket.send(b"go")
            except OSError as error:
                raise SandboxUnavailable(f"the warm process is gone ({error})") from error
            undo.pop_all()
        theirs.close()
        confined = self._launch.confine
        return self.guest_class(wall=ours, channel=channel, pidfd=pidfd, limits=limits, meter=meter, confined=confined)

    def _await_guest(
        self, channel: Channel, limits: Limits, group: cgroups.Group | None, undo: contextlib.ExitStack
    ) -> tuple[int, Meter]:
        """Wait until a guest is confined and counted. The pidfd is to be closed by ``undo``."""
        deadline = time.monotonic() + self._launch.spawn_s
        born: tuple[int, Meter] | None = None
        ready = False
        while not ready or born is None:
            message, fds = channel.receive(deadline - time.monotonic()) or ({"event": "late"}, [])
            if message["event"] == "born":
                undo.callback(os.close, fds[0])
                born = (fds[0], self._meter(fds[0], limits, group))
            elif message["event"] == "ready":
                ready = True
            else:
                what = message.get("what", "its keeper gave no answer")
                raise SandboxUnavailable(f"a guest could not be made: {what}")
        return born

    def _ask(self, channel: Channel, wall: socket.socket, limits: Limits, *, grouped: bool) -> None:
        request = {"limits": asdict(limits), "memory": grouped, "processes": self._launch.count_processes}
        me = os.pidfd_open(os.getpid())
        try:
            channel.socket.settimeout(_SPAWN_S)
            channel.socket.connect(str(self._path))
            socket.send_fds(channel.socket, [json.dumps(request).encode()], [wall.fileno(), me])
            channel.socket.settimeout(None)
        finally:
            os.close(me)

    def _meter(self, pidfd: int, limits: Limits, group: cgroups.Group | None) -> Meter:
        pid = pid_of(pidfd)
        if group is not None:
            group.add(pid)
            return group
        return TreeWatch(pid, inherited_bytes=self.report["inherited_bytes"], memory_limit=limits.memory_bytes)

    def close(self) -> None:
        """End the zygote and with it every guest; only in the process that started it. Idempotent."""
        if os.getpid() != self._owner:
            return
        if self._pipe is not None:
            with contextlib.suppress(OSError):
                self._pipe.shutdown(
                    socket.SHUT_RDWR
                )  # even if forks of ours hold it too, the zygote sees this and goes
            self._pipe.close()
        if self._init is not None:
            _kill_and_wait(self._init)
            self._init = None
        if self._process is not None:
            try:
                self._process.wait(self._launch.end_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def _kill_and_wait(pidfd: int) -> None:
    """Kill pid 1 of the outer sandbox; when it is gone, so is everything in it."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    readable(pidfd, 10.0)
    os.close(pidfd)


def _init_of(info: int) -> int | None:
    """A pidfd of the outer sandbox's pid 1, from what bubblewrap writes about it; None when it failed."""
    text = b""
    while not text.rstrip().endswith(b"}") and (part := os.read(info, 4096)):
        text += part
    with contextlib.suppress(OSError, ValueError):
        return os.pidfd_open(json.loads(text)["child-pid"])
    return None


def remove_remains() -> None:
    """Away with folders and control groups of dead runs: for whoever has seen one die."""
    _remove_folders()
    cgroups.find()  # sweeps, too


def _root() -> Path:
    # A socket's path has room for 107 characters.
    return Path(tempfile.gettempdir() if len(tempfile.gettempdir()) < 40 else "/tmp")  # noqa: S108 - mkdtemp is private


def _remove_folders() -> None:
    for old in _root().glob(f"{FOLDER}*"):
        with contextlib.suppress(FileNotFoundError):
            if old.lstat().st_uid == os.geteuid() and cgroups.owner_is_gone(old.name.removeprefix(FOLDER)):
                shutil.rmtree(old, ignore_errors=True)


def _private_folder() -> Path:
    """A folder for the socket, and away with those of dead runs."""
    _remove_folders()
    return Path(tempfile.mkdtemp(prefix=f"{FOLDER}{cgroups.owner_tag()}-", dir=_root()))
