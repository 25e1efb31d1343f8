"""No sandbox at all, for ``--sandbox none``: the same zygote, as a plain process of this user.

**Not defended**: anything. A student's code can read and write whatever the user who grades can, reach the network,
and leave processes behind that escaped their keeper. What remains are limits on each process, a watch from outside,
and an environment without the user's variables. Every record made so says ``none``.
"""

from __future__ import annotations

import os
import sys
import weakref
from typing import TYPE_CHECKING, Self

from grader.errors import SandboxUnavailable
from grader.sandbox import cgroups
from grader.sandbox.base import Capability, Limits
from grader.sandbox.zygotes import GUEST_FOLDER, WORKER, Launch, Zygote, guest_environment

if TYPE_CHECKING:
    from pathlib import Path

    from grader.sandbox.guests import ZygoteGuest

__all__ = ["UnsandboxedSandbox"]


class UnsandboxedSandbox:
    """Guests without walls. See ``grader.sandbox.base.Sandbox`` for the contract.

    Args:
        preload: modules that the zygote imports besides torch, numpy and IPython.
        worker: for tests: the module whose ``serve(wall, limits)`` runs in guests.
        worker_folder: where that module lies. None for the grader's own.
    """

    name = "none"

    def __init__(
        self, *, preload: tuple[str, ...] = (), worker: str = WORKER, worker_folder: Path | None = None
    ) -> None:
        self._preload = preload
        self._worker = worker
        self._worker_folder = worker_folder
        self._owner = os.getpid()
        self._warming = False
        self._zygote: Zygote | None = None
        self._hierarchy: cgroups.Hierarchy | None = None
        self._guests: weakref.WeakSet[ZygoteGuest] = weakref.WeakSet()

    def start(self) -> None:
        """Have a warm zygote. Raises SandboxUnavailable."""
        if not self._warming:
            self.launch()
        assert self._zygote is not None
        self._warming = False
        self._zygote.ready()

    def launch(self) -> None:
        """Begin to warm a zygote and return at once. Raises SandboxUnavailable."""
        self.close()
        self._warming = True
        self._zygote = Zygote(
            Launch(
                command=self._command,
                confine=False,
                preload=self._preload,
                worker=self._worker,
                count_processes=False,  # the limit would count all of the user's processes
            )
        )
        self._hierarchy = cgroups.find()
        if self._hierarchy is not None:
            self._hierarchy.open()

    def spawn(self, limits: Limits) -> ZygoteGuest:
        """Fork a fresh guest."""
        if self._zygote is None:
            raise SandboxUnavailable("the sandbox has not been started")
        guest = self._zygote.spawn(limits, self._hierarchy)
        self._guests.add(guest)
        return guest

    def capabilities(self) -> tuple[Capability, ...]:
        """What little holds."""
        remedy = "leave out `--sandbox none`"
        walls = ("namespaces", "filesystem", "network", "privileges", "seccomp", "disk", "inodes")
        watched = "sampled from outside every 20 ms"
        return (
            Capability(id="sandbox", holds=False, how="switched off", remedy=remedy),
            *(Capability(id=wall, holds=False, how="no sandbox", remedy=remedy) for wall in walls),
            *(Capability(id=limit, holds=True, how=watched) for limit in ("memory", "cpu", "processes")),
            Capability(id="wall-time", holds=True, how="the host's clock"),
            Capability(id="gpu", holds=False, how="guests are told of no GPU"),
        )

    def close(self) -> None:
        """End the zygote and all guests. In a forked process: the guests of that process only."""
        for guest in list(self._guests):
            guest.close()
        self._guests.clear()
        if os.getpid() != self._owner:
            return
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None
        if self._hierarchy is not None:
            self._hierarchy.close()
            self._hierarchy = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _command(self, folder: Path) -> list[str]:
        """The interpreter, in an environment of its own; ``folder`` is the zygote's private one."""
        package = folder / "guest" / "grader"
        package.mkdir(parents=True)
        (package / "guest").symlink_to(GUEST_FOLDER)
        home = folder / "home"
        home.mkdir()
        python_path = ":".join(map(str, filter(None, (package.parent, self._worker_folder))))
        environment = guest_environment(
            home=str(home),
            temporary=str(home),
            path=f"{os.path.dirname(sys.executable)}:/usr/bin:/bin",
            python_path=python_path,
        )
        settings = [f"{name}={value}" for name, value in environment.items()]
        return ["/usr/bin/env", "-i", *settings, "CUDA_VISIBLE_DEVICES=", sys.executable, "-P"]
