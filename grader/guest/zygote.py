"""The warm process that becomes every guest: ``python -m grader.guest.zygote '{…}'``.

Theory of operation. Three kinds of process, all from this file:

* The **zygote** is pid 1 of the outer sandbox. It imports torch and the rest, gives up root if it had it, opens
  nothing and holds no secret. It listens at one socket that the host made; for each connection it reads one spawn
  request (a JSON object with the limits, the guest's end of the wall, a pidfd of the asking process), forks a keeper
  and forgets about it. It never reads a byte that a student wrote, starts no thread, and ends with its owner.
* A **keeper** stands over one guest. It enters the guest's namespaces, forks pid 1, hands the host a pidfd of it, and
  waits: for the guest's end, which it reports with exit status and resource use; or for the end of the process that
  asked (its pidfd), of the connection, or of the time, upon which it kills the guest. It is invisible from inside.
* The **guest**'s pid 1 confines itself (``grader.guest.confine``), says so, waits for the host's go (by then the host
  has put it into a control group), closes everything but the wall and becomes ``worker.serve(wall, limits)``.

On the connection (AF_UNIX, SOCK_SEQPACKET; one JSON object a message): host → ``{"limits": …, "memory": bool,
"processes": bool}`` with two descriptors; keeper → ``{"event": "born"}`` with the pidfd; guest → ``{"event":
"ready"}`` or ``{"event": "failed", "what": …}``; host → ``go``; keeper → ``{"event": "exit", "status": …, …}``.

With ``"confine": false`` (``--sandbox none``) the namespaces, mounts and the filter are left out, and a guest is a
process group: for machines where nothing else can be had, and only when asked.

The worker is named on the command line (``grader.guest.worker``) so that a conformance suite can supply its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

from grader.guest import confine, memory, seccomp
from grader.guest.newborn import be_guest, leave_host_paths, send, versions, warm_up

__all__ = ["main"]

_ASK_S = 5.0
"""How long a connection may take to send its request."""
_GRACE_S = 10.0
"""How long after the host's own limit on wall time a keeper stops waiting for the host to act."""


def main() -> NoReturn:
    """Run the zygote with the settings in ``sys.argv[1]``; see ``_Settings`` in ``grader.sandbox.zygotes``."""
    settings = json.loads(sys.argv[1])
    owner = socket.socket(fileno=settings["owner_fd"])
    listener = socket.socket(fileno=settings["listen_fd"])
    for inherited in (owner.fileno(), listener.fileno(), settings["owner_pidfd"]):
        os.set_inheritable(inherited, False)
    try:
        _prepare(settings)
        if settings["probe"]:
            report = _probe()
        else:
            serve = warm_up(settings["preload"], settings["worker"])
            memory.gather_code()
            report = {"event": "ready", **versions()}
    except Exception as error:  # noqa: BLE001 - everything is reported, and nothing runs after it
        traceback.print_exc()
        send(owner, {"event": "failed", "what": f"{type(error).__name__}: {error}"})
        os._exit(1)
    send(owner, report)
    if settings["probe"]:
        os._exit(0)
    _listen(owner, settings["owner_pidfd"], listener, serve, confined=settings["confine"])


def _prepare(settings: dict[str, Any]) -> None:
    """Give up what the zygote was started with: root, editable installs, the first entry of the path."""
    if settings["confine"]:
        if os.geteuid() == 0:
            confine.mount_proc()
            os.chmod("/tmp", 0o1777)  # noqa: S103, S108 - the outer sandbox's own; every guest covers it with another
            confine.become_nobody()
        confine.die_with_parent()
    leave_host_paths()


def _probe() -> dict[str, Any]:
    """Try in a child all that a guest would do to itself, and tell what failed, if anything."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        failed = ""
        try:
            confine.enter_namespaces()
            grandchild = os.fork()
            if grandchild == 0:
                try:
                    confine.mount_private(disk_bytes=1 << 20, inodes=64)
                    confine.drop_privileges()
                    seccomp.install()
                except OSError as error:
                    os.write(writer, str(error).encode())
                os._exit(0)
            os.waitpid(grandchild, 0)
        except OSError as error:
            failed = str(error)
        os.write(writer, failed.encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as report:
        return {"event": "probed", "failed": report.read()}


def _listen(owner: socket.socket, owner_pidfd: int, listener: socket.socket, serve: Any, *, confined: bool) -> NoReturn:
    """Fork a keeper for every request, until the owner closes the sandbox or is gone."""
    poller = select.poll()
    poller.register(owner, 0)  # hang-up only
    poller.register(owner_pidfd, select.POLLIN)
    poller.register(listener, select.POLLIN)
    keepers: dict[int, int] = {}
    while True:
        for fd, _ in poller.poll(1000):
            if fd in (owner.fileno(), owner_pidfd):
                os._exit(0)  # pid 1 of the outer sandbox: everything inside goes with it
            if fd == listener.fileno():
                with contextlib.suppress(OSError):
                    connection, _ = listener.accept()
                    with connection:
                        keeper = _fork_keeper(connection, serve, confined=confined)
                    if keeper is not None:
                        pidfd = os.pidfd_open(keeper)
                        keepers[pidfd] = keeper
                        poller.register(pidfd, select.POLLIN)
            elif fd in keepers:
                poller.unregister(fd)
                os.close(fd)
                os.waitpid(keepers.pop(fd), 0)
        _reap_orphans(keepers)


def _reap_orphans(keepers: dict[int, int]) -> None:
    """Collect processes whose keeper died first; as pid 1 they fall to the zygote."""
    with contextlib.suppress(ChildProcessError):
        while True:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is None or found.si_pid in keepers.values():
                return
            os.waitpid(found.si_pid, 0)


def _fork_keeper(connection: socket.socket, serve: Any, *, confined: bool) -> int | None:
    """Read one request and fork. Returns the keeper's pid; None when there was nothing sensible to do."""
    connection.settimeout(_ASK_S)
    message, fds, _, _ = socket.recv_fds(connection, 1 << 16, 4)
    try:
        if len(fds) != 2:
            return None
        request = json.loads(message)
        keeper = memory.fork()
        if keeper == 0:
            try:
                _close_all_but(2, connection.fileno(), *fds)
                _keep(connection, request, wall_fd=fds[0], asker_fd=fds[1], serve=serve, confined=confined)
            except BaseException:  # noqa: BLE001 - a fork must never return into the zygote's loop
                os._exit(70)
        return keeper
    finally:
        for fd in fds:
            os.close(fd)


def _close_all_but(*keep: int) -> None:
    last = -1
    for fd in sorted(keep):
        os.closerange(last + 1, fd)
        last = fd
    os.closerange(last + 1, 1 << 20)


def _keep(
    connection: socket.socket, request: dict[str, Any], *, wall_fd: int, asker_fd: int, serve: Any, confined: bool
) -> NoReturn:
    """Be the keeper of one guest."""
    connection.setblocking(True)
    try:
        if confined:
            confine.enter_namespaces()
        else:
            _adopt_orphans()
        confine.die_with_parent()  # again: a change of credentials may have cleared it
        pid = memory.fork()
    except OSError as error:
        send(connection, {"event": "failed", "what": str(error)})
        os._exit(1)
    if pid == 0:
        be_guest(connection, request, wall_fd, serve, enclose=_confine if confined else _stay)
    os.close(wall_fd)
    guest = os.pidfd_open(pid)
    with contextlib.suppress(OSError):
        socket.send_fds(connection, [b'{"event": "born"}'], [guest])
    poller = select.poll()
    poller.register(guest, select.POLLIN)
    poller.register(asker_fd, select.POLLIN)
    poller.register(connection, 0)
    over_s = min(request["limits"]["wall_s"] + _GRACE_S, 1e6)
    ready = [fd for fd, _ in poller.poll(over_s * 1000)]
    if guest not in ready:
        _kill(pid)
    cpu_limit = _cpu_limit(pid)
    status, used = _wait(pid, alone=confined)
    with contextlib.suppress(OSError):
        send(
            connection,
            {
                "event": "exit",
                "status": status,
                "cpu_s": used.ru_utime + used.ru_stime,
                "cpu_limit_s": cpu_limit,
                "peak": used.ru_maxrss * 1024,
            },
        )
    os._exit(0)


def _cpu_limit(pid: int) -> int | None:
    """What the guest's first process, now ended, had as its own limit on CPU seconds; None when it had none."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    try:
        _, hard = resource.prlimit(pid, resource.RLIMIT_CPU)
    except OSError:
        return None
    return None if hard == resource.RLIM_INFINITY else hard


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)  # pid 1 of its namespace: the kernel kills the rest


def _wait(pid: int, *, alone: bool) -> tuple[int, Any]:
    """Collect the guest's first process, which has ended, and without a pid namespace end all others of it."""
    if not alone:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    _, status, used = os.wait4(pid, 0)
    while not alone:  # the keeper is their reaper, so every orphan arrives here
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        for child in children:
            _kill(int(child))
            os.waitpid(int(child), 0)
        if not children:
            break
    return status, used


def _adopt_orphans() -> None:
    subreaper = 36
    ctypes.CDLL(None, use_errno=True).prctl(subreaper, ctypes.c_ulong(1), 0, 0, 0)


def _confine(request: dict[str, Any]) -> None:
    """Pid 1 of new namespaces encloses itself."""
    limits = request["limits"]
    os.setsid()
    confine.mount_private(disk_bytes=limits["disk_bytes"], inodes=limits["inodes"])
    _limit(request)
    confine.drop_privileges()
    confine.die_with_parent()
    seccomp.install()


def _stay(request: dict[str, Any]) -> None:
    """Without a sandbox there are limits only."""
    os.setsid()
    os.chdir(os.environ["HOME"])
    _limit(request)
    confine.die_with_parent()


def _limit(request: dict[str, Any]) -> None:
    limits = request["limits"]
    confine.limit_resources(
        cpu_s=limits["cpu_s"],
        memory_bytes=None if request["memory"] else limits["memory_bytes"],
        processes=limits["processes"] if request["processes"] else None,
        file_bytes=limits["disk_bytes"],
        open_files=limits["open_files"],
        gpu=os.environ.get("CUDA_VISIBLE_DEVICES") != "",
    )


if __name__ == "__main__":
    main()
