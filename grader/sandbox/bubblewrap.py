"""The embedded sandbox: one bubblewrap around a warm zygote, and namespaces of its own for every guest.

Theory of operation, from the outside in.

* **Outer sandbox** (bubblewrap, once a run). New pid, IPC, UTS, network and cgroup namespaces; a root file system of
  read-only binds (``grader.sandbox.filesystem``) and nothing else; an empty environment; a new session. For an
  ordinary user it is built in a user namespace. For root it is built without one, with the four capabilities that the
  zygote needs to mount its ``/proc`` and to become nobody, which it does before it forks anything.
* **Zygote**, keepers and guests: ``grader.guest.zygote`` and ``grader.guest.confine``.
* **Supervision** from here: control groups where they can be had, ``/proc`` where not (``grader.sandbox.guests``).

**Not defended**: a flaw in the kernel; side channels between processes on the same cores; that students of one class
share (read-only) the memory of the zygote they were forked from, which is the same for all and holds no secret.
``docs/sandbox.md`` says more.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from grader.errors import SandboxUnavailable
from grader.guest.confine import HOME
from grader.sandbox import cgroups, filesystem, gpus
from grader.sandbox.base import Capability
from grader.sandbox.forking import ForkingSandbox
from grader.sandbox.zygotes import GUEST_FOLDER, MODULES, Launch, Zygote, guest_environment

if TYPE_CHECKING:
    from grader.sandbox.gpus import Gpu

__all__ = ["BubblewrapSandbox", "obstacle"]

_CAPABILITIES = ("CAP_SYS_ADMIN", "CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")
_INSTALL = "sudo apt install bubblewrap (dnf, pacman and apk know it by the same name)"
_WORKER_PLACE = "/worker"
_ACCOUNTS = "root:x:0:0::/:/bin/false\nstudent:x:1000:1000::/home/student:/bin/sh\n"


class BubblewrapSandbox(ForkingSandbox):
    """Guests forked from a zygote in a bubblewrap. See ``grader.sandbox.base.Sandbox`` for the contract."""

    name = "bubblewrap"

    def capabilities(self) -> tuple[Capability, ...]:
        """What holds on this machine, by trying."""
        return _capabilities(use_cgroups=self._use_cgroups, gpu=self.gpu_line())

    def _launch(self) -> Launch:
        if shutil.which("bwrap") is None:
            raise SandboxUnavailable("bubblewrap is not installed", remedy=_INSTALL)
        return Launch(
            command=functools.partial(
                _command, worker_folder=self._worker_folder, modules=self._modules(), gpu=self._gpu
            ),
            confine=True,
            preload=self._preload,
            worker=self._worker,
            count_processes=_counts_processes(),
        )

    def _remedy(self) -> str:
        return _remedy()

    def _modules(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name.partition(".")[0] for name in (*MODULES, *self._preload)))


def _command(
    folder: Path, *, worker_folder: Path | None, modules: tuple[str, ...], gpu: Gpu | None = None
) -> list[str]:
    """Bubblewrap's command line, up to and including the interpreter."""
    is_root = os.geteuid() == 0
    bwrap = shutil.which("bwrap") or "bwrap"
    python = filesystem.relocated(filesystem.interpreter())
    passwd = folder / "passwd"
    passwd.write_text(_ACCOUNTS)
    passwd.chmod(0o644)
    arguments = [bwrap, "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net", "--unshare-cgroup-try"]
    arguments += ["--as-pid-1", "--new-session", "--clearenv"]
    if threading.current_thread() is threading.main_thread():
        arguments += ["--die-with-parent"]  # the kernel means the thread; the zygote also watches our pidfd
    arguments += filesystem.system_arguments()
    found = filesystem.python_binds(modules)
    ours = filesystem.installed_packages("grader", found)
    binds = [(source, filesystem.relocated(place)) for source, place in found]
    binds += [(str(GUEST_FOLDER), f"{filesystem.GUEST_ROOT}/grader/guest")]
    python_path = filesystem.GUEST_ROOT
    if worker_folder is not None:
        binds += [(str(worker_folder.resolve()), _WORKER_PLACE)]
        python_path += f":{_WORKER_PLACE}"
    for parent in filesystem.parents([*(place for _, place in binds), HOME, "/etc/passwd"]):
        arguments += ["--dir", parent]  # left to bubblewrap they would be closed to nobody
    for source, place in binds:
        arguments += ["--ro-bind", source, place]
    for package in map(filesystem.relocated, ours):
        arguments += ["--tmpfs", package, "--remount-ro", package]
    arguments += ["--ro-bind", str(passwd), "/etc/passwd", "--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108 - inside
    arguments += gpus.bind_arguments(gpu)
    arguments += ["--dir", HOME, "--dir", "/proc"]
    if is_root:
        arguments += ["--cap-drop", "ALL"]
        for capability in _CAPABILITIES:
            arguments += ["--cap-add", capability]
    else:
        arguments += ["--unshare-user", "--uid", "65534", "--gid", "65534", "--proc", "/proc"]
    path = f"{os.path.dirname(python)}:/usr/bin:/bin"
    environment = guest_environment(
        home=HOME,
        temporary="/tmp",  # noqa: S108 - inside
        path=path,
        python_path=python_path,
        gpu=gpus.environment(gpu, place=filesystem.relocated),
    )
    for name, value in environment.items():
        arguments += ["--setenv", name, value]
    return [*arguments, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/", python, "-P"]


def _counts_processes() -> bool:
    """Whether RLIMIT_NPROC counts by user namespace (Linux 5.14) and so holds for one guest alone."""
    return kernel_version() >= (5, 14)


def kernel_version() -> tuple[int, int]:
    """Major and minor number of the running kernel."""
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(digit for digit in minor if digit.isdigit()) or 0)


@functools.cache
def obstacle() -> tuple[str, str] | None:
    """What keeps this sandbox from working here, and the remedy; None when all of it was tried and works.

    Takes about a tenth of a second, once: it builds the whole sandbox around a zygote that imports nothing.
    """
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed", _INSTALL
    command = functools.partial(_command, worker_folder=None, modules=())
    try:
        zygote = Zygote(Launch(command=command, confine=True), probe=True)
    except SandboxUnavailable as error:
        return error.what, _remedy()
    zygote.close()
    failed = zygote.report["failed"]
    return (f"a guest cannot be confined: {failed}", _remedy()) if failed else None


def _remedy() -> str:
    """What to do about a kernel that does not let us make namespaces."""
    settings = {
        "/proc/sys/kernel/unprivileged_userns_clone": ("0", "sudo sysctl kernel.unprivileged_userns_clone=1"),
        "/proc/sys/user/max_user_namespaces": ("0", "sudo sysctl user.max_user_namespaces=10000"),
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": (
            "1",
            "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    }
    for file, (value, remedy) in settings.items():
        path = Path(file)
        if path.exists() and path.read_text().strip() == value:
            return remedy
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        return "inside a container, run it with --privileged, or with seccomp, AppArmor and masked /proc paths off"
    return "the kernel must allow user namespaces; `grader doctor` says what was tried"


def _capabilities(*, use_cgroups: bool, gpu: Capability) -> tuple[Capability, ...]:
    problem = obstacle()
    if problem is not None:
        what, remedy = problem
        return (Capability(id="sandbox", holds=False, how=what, remedy=remedy), gpu)
    hierarchy = cgroups.find() if use_cgroups else None
    grouped = hierarchy.how if hierarchy is not None else None
    better = None if grouped else "run as root, or under `systemd-run --user --scope -p Delegate=yes` (cgroup v2)"
    watched = "sampled from outside every 20 ms"
    processes = f"{grouped} pids" if grouped else "RLIMIT_NPROC" if _counts_processes() else watched
    version = subprocess.run(["bwrap", "--version"], capture_output=True, text=True, check=False).stdout.strip()  # noqa: S607 - found on PATH above
    return (
        Capability(id="sandbox", holds=True, how=version),
        Capability(
            id="namespaces", holds=True, how="user, pid, mount, network, IPC, UTS and cgroup, new for each guest"
        ),
        Capability(id="filesystem", holds=True, how="system and Python read-only; nothing else of the host is there"),
        Capability(id="network", holds=True, how="an empty network namespace"),
        Capability(id="privileges", holds=True, how="nobody, no capabilities, no_new_privs"),
        Capability(id="seccomp", holds=True, how="a filter over system calls"),
        Capability(
            id="memory",
            holds=True,
            how=f"{grouped} memory"
            if grouped
            else watched
            if gpu.holds
            else f"{watched}, with RLIMIT_AS as a backstop",
            remedy=better,
        ),
        Capability(id="cpu", holds=True, how=f"{grouped or watched} and RLIMIT_CPU", remedy=better),
        Capability(id="processes", holds=True, how=processes, remedy=better),
        Capability(id="wall-time", holds=True, how="the host's clock"),
        Capability(id="disk", holds=True, how="one tmpfs of fixed size"),
        Capability(id="inodes", holds=True, how="the same tmpfs"),
        gpu,
    )
