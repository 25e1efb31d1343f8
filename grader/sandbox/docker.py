"""The docker backend: a container for every submission, warm before it is needed.

Theory of operation. ``launch`` starts one process, the pool (``grader.sandbox.docker_pool``), which keeps containers
with torch imported at the ready and speaks the zygote's protocol; guests, channels and supervision are therefore
those of the other backends. What confines a guest is the engine: its own namespaces, a read-only image, no network, no
capabilities, ``no-new-privileges``, nobody's uid, control groups, Docker's own system-call filter; the process inside
checks this and adds our filter (``grader.guest.contained``).

**Not defended**: a flaw in the kernel, or in Docker and runc, which run as root; side channels between containers on
one machine; whoever may speak to the engine's socket is as good as root. ``docs/sandbox.md`` says more.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader.errors import SandboxUnavailable
from grader.sandbox import cgroups
from grader.sandbox.base import Capability, Limits
from grader.sandbox.docker_engine import IMAGE, connect, find_image
from grader.sandbox.forking import ForkingSandbox
from grader.sandbox.guests import Meter, ZygoteGuest
from grader.sandbox.zygotes import WORKER, Launch, Zygote, pid_of

if TYPE_CHECKING:
    from docker import APIClient

    from grader.sandbox.gpus import Gpu

__all__ = ["DockerSandbox", "obstacle"]

_SPAWN_S = 330.0
_WARM = 2
"""Containers at the ready. Warming one up is a few seconds of one core."""


class _Guest(ZygoteGuest):
    """A container: its keeper must know of a kill, and has rights that we may lack."""

    def _signal(self, number: signal.Signals) -> None:
        is_kill = number is signal.SIGKILL
        if is_kill:
            self._order(b"kill")
        try:
            signal.pidfd_send_signal(self._pidfd, number)
        except ProcessLookupError:
            pass
        except PermissionError:
            if not is_kill:
                self._order(b"interrupt")

    def _order(self, order: bytes) -> None:
        with contextlib.suppress(OSError):
            self._channel.socket.send(order)


class _Pool(Zygote):
    """The host's side of the pool: a zygote whose guests are containers."""

    guest_class = _Guest

    def _meter(self, pidfd: int, limits: Limits, group: cgroups.Group | None) -> Meter:
        return cgroups.of_process(pid_of(pidfd)) or super()._meter(pidfd, limits, group)


class DockerSandbox(ForkingSandbox):
    """Guests in containers. See ``grader.sandbox.base.Sandbox`` for the contract.

    Args:
        preload: modules to import besides torch, numpy and IPython.
        worker: for tests and the conformance suite: the module whose ``serve(wall, limits)`` runs in guests.
        worker_folder: where that module lies; None for the image's own.
        limits: what the containers are made for; guests with other limits wait for a new container.
        warm: how many containers are kept at the ready.
        image: another image than the usual one.
        runtime: another runtime of the engine's (``runsc``).
        gpu: the GPU that guests get, through the engine; None for none.
    """

    name = "docker"
    _zygote_class = _Pool

    def __init__(
        self,
        *,
        preload: tuple[str, ...] = (),
        worker: str = WORKER,
        worker_folder: Path | None = None,
        limits: Limits | None = None,
        warm: int = _WARM,
        image: str = IMAGE,
        runtime: str | None = None,
        gpu: Gpu | None = None,
    ) -> None:
        super().__init__(preload=preload, worker=worker, worker_folder=worker_folder, use_cgroups=False, gpu=gpu)
        self._limits = limits or Limits()
        self._warm = warm
        self._image = image
        self._runtime = runtime

    def capabilities(self) -> tuple[Capability, ...]:
        """What holds here, by the engine's own account."""
        return _capabilities(self._image, runtime=self._runtime, gpu=self.gpu_line())

    def _launch(self) -> Launch:
        with contextlib.closing(connect()) as client:
            image = find_image(client, self._image)
        settings: dict[str, Any] = {
            "image": image,
            "limits": asdict(self._limits),
            "warm": self._warm,
            "runtime": self._runtime,
            "gpu": self._gpu.visible if self._gpu is not None else None,
            "worker_folder": str(self._worker_folder.resolve()) if self._worker_folder else None,
        }
        package = str(Path(__file__).resolve().parents[2])
        python_path = ":".join(filter(None, (package, os.environ.get("PYTHONPATH"))))
        return Launch(
            command=_command,
            confine=False,
            preload=self._preload,
            worker=self._worker,
            module="grader.sandbox.docker_pool",
            settings=settings,
            environment={**os.environ, "PYTHONPATH": python_path},
            spawn_s=_SPAWN_S,
            end_s=30.0,
        )

    def _remedy(self) -> str:
        return "see what `docker info` and `grader doctor --sandbox docker` say"


def _command(folder: Path) -> list[str]:
    """The interpreter; the pool's folders are below the private one."""
    del folder
    return [sys.executable, "-P"]


def obstacle(image: str = IMAGE) -> SandboxUnavailable | None:
    """What keeps this sandbox from working here; None when engine and image are there."""
    try:
        with contextlib.closing(connect()) as client:
            find_image(client, image)
    except SandboxUnavailable as error:
        return error
    return None


def _capabilities(image: str, *, runtime: str | None, gpu: Capability) -> tuple[Capability, ...]:
    try:
        with contextlib.closing(connect()) as client:
            find_image(client, image)
            return _reported(client, runtime=runtime, gpu=gpu)
    except SandboxUnavailable as problem:
        return (Capability(id="sandbox", holds=False, how=problem.what, remedy=problem.remedy), gpu)


def _reported(client: APIClient, *, runtime: str | None, gpu: Capability) -> tuple[Capability, ...]:
    info = client.info()
    grouped = f"cgroup v{info.get('CgroupVersion', '1')}"
    security = [option.partition(",")[0].removeprefix("name=") for option in info.get("SecurityOptions") or ()]
    also = (
        f", and {'AppArmor' if 'apparmor' in security else 'SELinux'}" if {"apparmor", "selinux"} & {*security} else ""
    )
    limit = "the engine cannot limit this here"
    better = "boot with cgroup_enable=memory swapaccount=1, or use cgroup v2"
    who = "nobody, no capabilities, no-new-privileges"
    return (
        Capability(
            id="sandbox", holds=True, how=f"Docker {info['ServerVersion']}, {runtime or info['DefaultRuntime']}"
        ),
        Capability(id="namespaces", holds=True, how="pid, mount, network, IPC and UTS, new for each container"),
        Capability(id="filesystem", holds=True, how="a read-only image; of the host one folder with one socket"),
        Capability(id="network", holds=True, how="an empty network namespace"),
        Capability(id="privileges", holds=True, how=f"{who}{' in a user namespace' if 'userns' in security else ''}"),
        Capability(
            id="seccomp",
            holds=True,
            how=f"our filter{' and Docker’s' if 'seccomp' in security else ''}{also}",
        ),
        Capability(
            id="memory",
            holds=bool(info.get("MemoryLimit")),
            how=f"{grouped} memory{'' if info.get('SwapLimit') else ', but not swap'}"
            if info.get("MemoryLimit")
            else limit,
            remedy=None if info.get("MemoryLimit") and info.get("SwapLimit") else better,
        ),
        Capability(id="cpu", holds=True, how=f"{grouped} cpuacct and RLIMIT_CPU; one core a guest"),
        Capability(
            id="processes",
            holds=bool(info.get("PidsLimit")),
            how=f"{grouped} pids" if info.get("PidsLimit") else limit,
        ),
        Capability(id="wall-time", holds=True, how="the host's clock"),
        Capability(
            id="disk", holds=True, how="two tmpfs of fixed size: a quarter for /dev/shm, the rest for home and /tmp"
        ),
        Capability(id="inodes", holds=True, how="the same tmpfs"),
        _through(info, gpu),
    )


def _through(info: dict[str, Any], gpu: Capability) -> Capability:
    """The line about the GPU, by what the engine says of itself: it must know NVIDIA's runtime."""
    if not gpu.holds or "nvidia" in (info.get("Runtimes") or {}):
        return gpu
    remedy = (
        "install nvidia-container-toolkit, then: sudo nvidia-ctk runtime configure --runtime=docker, and restart Docker"
    )
    return Capability(id="gpu", holds=False, how="the engine cannot hand GPUs to containers", remedy=remedy)
