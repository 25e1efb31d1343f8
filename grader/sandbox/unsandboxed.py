"""No sandbox at all, for ``--sandbox none``: the same zygote, as a plain process of this user.

**Not defended**: anything. A student's code can read and write whatever the user who grades can, reach the network,
and leave processes behind that escaped their keeper. What remains are limits on each process, a watch from outside,
and an environment without the user's variables. Every record made so says ``none``.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from grader.sandbox import gpus
from grader.sandbox.base import Capability
from grader.sandbox.forking import ForkingSandbox
from grader.sandbox.zygotes import GUEST_FOLDER, Launch, guest_environment

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["UnsandboxedSandbox"]


class UnsandboxedSandbox(ForkingSandbox):
    """Guests without walls. See ``grader.sandbox.base.Sandbox`` for the contract."""

    name = "none"

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
            self.gpu_line(),
        )

    def _launch(self) -> Launch:
        return Launch(
            command=self._command,
            confine=False,
            preload=self._preload,
            worker=self._worker,
            count_processes=False,  # the limit would count all of the user's processes
        )

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
            gpu=gpus.environment(self._gpu),
        )
        settings = [f"{name}={value}" for name, value in environment.items()]
        return ["/usr/bin/env", "-i", *settings, sys.executable, "-P"]
