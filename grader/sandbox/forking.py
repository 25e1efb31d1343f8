"""What the backends that fork their guests from a zygote have in common: everything but how the zygote is started."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Self

from grader.errors import SandboxUnavailable
from grader.sandbox import cgroups, gpu_watch
from grader.sandbox.base import Capability
from grader.sandbox.gpu_watch import GpuWatch
from grader.sandbox.zygotes import WORKER, Launch, Zygote

if TYPE_CHECKING:
    from pathlib import Path

    from grader.sandbox.base import Limits
    from grader.sandbox.gpus import Gpu
    from grader.sandbox.guests import ZygoteGuest

__all__ = ["ForkingSandbox"]


class ForkingSandbox:
    """Guests forked from a zygote. A backend says how to start that, in ``_launch``.

    Args:
        preload: modules that the zygote imports besides torch, numpy and IPython (``matplotlib.pyplot``).
        worker: for tests and the conformance suite: the module whose ``serve(wall, limits)`` runs in guests.
        worker_folder: where that module lies; None for the grader's own.
        use_cgroups: False watches over ``/proc`` even where control groups could be had.
        gpu: what guests get; None for no GPU.
    """

    _zygote_class = Zygote

    def __init__(
        self,
        *,
        preload: tuple[str, ...] = (),
        worker: str = WORKER,
        worker_folder: Path | None = None,
        use_cgroups: bool = True,
        gpu: Gpu | None = None,
    ) -> None:
        self._preload = preload
        self._worker = worker
        self._worker_folder = worker_folder
        self._use_cgroups = use_cgroups
        self._gpu = gpu
        self._gpu_watch: GpuWatch | None = None
        self._owner = os.getpid()
        self._warming = False
        self._zygote: Zygote | None = None
        self._hierarchy: cgroups.Hierarchy | None = None
        self._guests: weakref.WeakSet[ZygoteGuest] = weakref.WeakSet()

    def _launch(self) -> Launch:
        """How to start a zygote here. Raises SandboxUnavailable with a remedy."""
        raise NotImplementedError

    def _remedy(self) -> str | None:
        """What to do when a zygote cannot be started here."""
        return None

    def gpu_line(self) -> Capability:
        """What ``capabilities`` says about the GPU."""
        if self._gpu is None:
            return Capability(id="gpu", holds=False, how="none is handed to guests")
        how = f"{self._gpu.name}, driver {self._gpu.driver}"
        missing = gpu_watch.obstacle()
        if missing is not None:
            return Capability(id="gpu", holds=True, how=f"{how}; {missing.what}", remedy=missing.remedy)
        return Capability(id="gpu", holds=True, how=f"{how}; memory of each guest watched through NVML")

    def start(self) -> None:
        """Have a warm zygote; a new one after it was lost. Raises SandboxUnavailable with a remedy."""
        if not self._warming:
            self.launch()
        assert self._zygote is not None
        self._warming = False
        try:
            self._zygote.ready()
        except SandboxUnavailable as error:
            raise SandboxUnavailable(error.what, remedy=error.remedy or self._remedy()) from error

    def launch(self) -> None:
        """Begin to warm a zygote and return at once. Raises SandboxUnavailable with a remedy."""
        self.close()
        launch = self._launch()
        try:
            self._zygote = self._zygote_class(launch)
        except SandboxUnavailable as error:
            raise SandboxUnavailable(error.what, remedy=error.remedy or self._remedy()) from error
        if self._gpu is not None:
            self._gpu_watch = GpuWatch(self._zygote.folder)
        self._warming = True
        self._hierarchy = cgroups.find() if self._use_cgroups else None
        if self._hierarchy is not None:
            self._hierarchy.open()

    def spawn(self, limits: Limits) -> ZygoteGuest:
        """Fork a fresh guest."""
        if self._zygote is None:
            raise SandboxUnavailable("the sandbox has not been started")
        guest = self._zygote.spawn(limits, self._hierarchy)
        guest.gpu_watch = self._gpu_watch
        self._guests.add(guest)
        return guest

    def close(self) -> None:
        """End the zygote and all guests. In a forked process: the guests of that process only."""
        for guest in list(self._guests):
            guest.close()
        self._guests.clear()
        if os.getpid() != self._owner:
            return
        if self._gpu_watch is not None:
            self._gpu_watch.close()
            self._gpu_watch = None
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
