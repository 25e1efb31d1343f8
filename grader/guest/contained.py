"""The first process of a container that becomes a guest: ``python -m grader.guest.contained '{…}'``.

Theory of operation. The container was made by the docker backend with everything taken away that Docker can take
(``grader.sandbox.docker_pool``). This process warms up like a zygote, connects to the socket in ``/wall``, the only
file of the host's that is mounted, and waits. It has seen nothing and knows nothing. For one submission the host
sends the request with the guest's end of the wall. The process then checks that it really is without privileges,
limits itself, installs the system-call filter, says *ready*, and on the host's *go* closes everything but the wall
and serves. If the host goes away before, so does it.

On the connection (AF_UNIX, SOCK_SEQPACKET; one JSON object a message): container → ``{"event": "warm", …}`` or
``{"event": "failed", "what": …}``; host → ``{"limits": …}`` with one descriptor; then as in the zygote.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

from grader.guest import confine, seccomp
from grader.guest.newborn import be_guest, leave_host_paths, send, versions, warm_up

__all__ = ["CHANNEL", "main"]

CHANNEL = "/wall/host"
"""Where the host listens."""
_FOLDERS = Path("/home")
_FONTS = Path("/opt/matplotlib")


def main() -> NoReturn:
    """Warm up, wait for a submission, be its guest. ``sys.argv[1]`` names the worker and what to import."""
    settings = json.loads(sys.argv[1])
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel.connect(CHANNEL)
    try:
        _lay_out(with_fonts=any(name.startswith("matplotlib") for name in settings["preload"]))
        leave_host_paths()
        serve = warm_up(settings["preload"], settings["worker"])
        _check_privileges()
    except Exception as error:  # noqa: BLE001 - everything is reported, and nothing runs after it
        traceback.print_exc()
        send(channel, {"event": "failed", "what": f"{type(error).__name__}: {error}"})
        os._exit(1)
    send(channel, {"event": "warm", **versions()})
    message, fds, _, _ = socket.recv_fds(channel, 1 << 16, 1)
    if not message or len(fds) != 1:
        os._exit(0)
    be_guest(channel, json.loads(message), fds[0], serve, enclose=_enclose)


def _lay_out(*, with_fonts: bool) -> None:
    """Make the home folder and ``/tmp`` (a link to here) on the one private file system."""
    for name, mode in (("student", 0o700), (".tmp", 0o1777)):
        (_FOLDERS / name).mkdir()
        (_FOLDERS / name).chmod(mode)
    _FOLDERS.chmod(0o555)
    if with_fonts and _FONTS.is_dir():
        shutil.copytree(_FONTS, os.environ["MPLCONFIGDIR"])
    os.chdir(confine.HOME)


def _check_privileges() -> None:
    """Raise PermissionError unless the container is what was ordered: a student's code must never run in another."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    held = [name for name in ("CapPrm", "CapEff", "CapInh", "CapBnd", "CapAmb") if int(fields[name], 16)]
    if held or os.getuid() == 0 or fields["NoNewPrivs"].strip() != "1":
        raise PermissionError("the container was started with privileges")
    if os.access("/", os.W_OK) or not os.statvfs("/").f_flag & os.ST_RDONLY:
        raise PermissionError("the container's root file system can be written to")


def _enclose(request: dict[str, Any]) -> None:
    limits = request["limits"]
    confine.limit_resources(
        cpu_s=limits["cpu_s"] + time.process_time(),  # warming up is not the student's time
        memory_bytes=None,
        processes=None,  # the kernel would count the same user's processes in other containers
        file_bytes=limits["disk_bytes"],
        open_files=limits["open_files"],
        gpu=os.environ.get("CUDA_VISIBLE_DEVICES") != "",
    )
    seccomp.install()


if __name__ == "__main__":
    main()
