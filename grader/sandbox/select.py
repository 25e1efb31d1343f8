"""Which sandbox a run uses: the best that really works here, or an error with the remedy. Never silently none."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from grader.errors import SandboxUnavailable, UsageError
from grader.sandbox.bubblewrap import BubblewrapSandbox, obstacle
from grader.sandbox.unsandboxed import UnsandboxedSandbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grader.sandbox.base import Limits, Sandbox
    from grader.sandbox.gpus import Gpu

__all__ = ["NAMES", "select"]

NAMES = ("auto", "bubblewrap", "docker", "none")
"""What ``--sandbox`` takes."""


def select(
    name: str = "auto", *, preload: Sequence[str] = (), limits: Limits | None = None, gpu: Gpu | None = None
) -> Sandbox:
    """A sandbox, not started yet.

    Args:
        name: one of ``NAMES``. ``auto`` is bubblewrap; ``none`` must be asked for.
        preload: modules to have imported in every guest besides torch, numpy and IPython.
        limits: what most guests will be asked for with, where it is known.
        gpu: what guests get; None for no GPU.

    Raises:
        SandboxUnavailable: it does not work on this machine; the error says what to do.
        UsageError: there is no sandbox of that name.
    """
    if name not in NAMES:
        raise UsageError(f"there is no sandbox called {name!r}", remedy=f"one of: {', '.join(NAMES)}")
    if name == "none":
        return UnsandboxedSandbox(preload=tuple(preload), gpu=gpu)
    if name == "docker":
        from grader.sandbox import docker

        if (missing := docker.obstacle()) is not None:
            raise missing
        return docker.DockerSandbox(
            preload=tuple(preload),
            limits=limits,
            runtime=os.environ.get("GRADER_DOCKER_RUNTIME") or None,
            gpu=gpu,
        )
    problem = obstacle()
    if problem is not None:
        what, remedy = problem
        raise SandboxUnavailable(f"student code cannot be sandboxed here: {what}", remedy=remedy)
    return BubblewrapSandbox(preload=tuple(preload), gpu=gpu)
