"""What processes hold on the GPU, seen from outside: ``python -m grader.sandbox.gpu_watch FOLDER``.

Theory of operation. NVML tells which process holds how much memory on a GPU, but what it opened does not survive a
fork, and the marker forks for each submission. So one small process a run asks it every 50 ms and writes the answer
into a file of the zygote's private folder, whole (written beside it and renamed); whoever watches a guest reads that
file. The process ends with the one that started it. It decides nothing: ``is_over`` does, where the guest is watched.

The cap is for the whole process tree of a guest: its limit for tensors, and ``CONTEXT_BYTES`` once, since CUDA itself
takes some hundred MiB in a process, which a student cannot help; more processes have to share that.

**Not defended**: what a process takes between two looks, some tens of milliseconds, which is enough to fill a GPU;
others that allocate just then fail, and a check that failed so is run once more. NVML knows processes by their number
on the host: from inside a container (a pid namespace) no number fits, and nothing is seen. Where a driver does not tell
the memory of a process (MIG or vGPU without the right, WSL), nothing is seen either.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader.sandbox.gpus import NoGpu

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["CONTEXT_BYTES", "LOOK_EVERY_S", "GpuWatch", "added_up", "is_over", "main", "obstacle"]

CONTEXT_BYTES = 1 << 30
"""What CUDA and its libraries may take, beyond tensors."""
LOOK_EVERY_S = 0.05
STALE_S = 5.0
"""An answer older than this is none."""
_FILE = "gpu.json"
_INSTALL = "pip install nvidia-ml-py (or: pip install 'grader[gpu]')"


@functools.cache
def obstacle() -> NoGpu | None:
    """Why memory on the GPU cannot be watched here; None when NVML answers. Tried in a process of its own."""
    if importlib.util.find_spec("pynvml") is None:
        return NoGpu(what="its memory is not watched from outside, for nvidia-ml-py is missing", remedy=_INSTALL)
    command = [sys.executable, "-c", "import pynvml; pynvml.nvmlInit(); pynvml.nvmlDeviceGetCount()"]
    tried = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ourselves
    if tried.returncode:
        said = (tried.stderr.strip().splitlines() or ["NVML gave no answer"])[-1]
        return NoGpu(what=f"its memory is not watched from outside: {said}", remedy="see what `nvidia-smi` says")
    return None


def is_over(used: Mapping[int, int], tree: Collection[int], limit_bytes: int | None) -> bool:
    """Whether a tree of processes holds more than it may.

    Args:
        used: bytes on all GPUs by pid, as NVML tells.
        tree: the guest's processes, as the host numbers them.
        limit_bytes: for tensors; None for no limit.
    """
    if limit_bytes is None:
        return False
    return sum(used.get(pid, 0) for pid in tree) > limit_bytes + CONTEXT_BYTES


class GpuWatch:
    """Starts the process that asks NVML, and reads what it writes. Usable in forks of the process that made it.

    Args:
        folder: private to us; the answers lie there.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / _FILE
        self._process: subprocess.Popen[bytes] | None = None
        if obstacle() is None:
            self._process = subprocess.Popen(  # noqa: S603 - ourselves
                [sys.executable, "-m", "grader.sandbox.gpu_watch", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": _python_path()},
            )

    def used(self) -> dict[int, int]:
        """Bytes by pid; empty where nothing is told, or not any more."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            answer = json.loads(self._file.read_bytes())
            if time.monotonic() - answer["at"] < STALE_S:
                return {int(pid): held for pid, held in answer["used"].items()}
        return {}

    def is_over(self, tree: Collection[int], limit_bytes: int | None) -> bool:
        """Whether a guest, by its processes, holds more than it may."""
        return is_over(self.used(), tree, limit_bytes)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _python_path() -> str:
    package = str(Path(__file__).resolve().parents[2])
    return ":".join(filter(None, (package, os.environ.get("PYTHONPATH"))))


def main() -> None:
    """Ask and write until the process that started us is gone."""
    folder, parent = Path(sys.argv[1]), os.getppid()
    import pynvml

    pynvml.nvmlInit()
    devices = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    while os.getppid() == parent:
        running: list[list[tuple[int, int | None]]] = []
        for device in devices:
            running.append([])
            for ask in (pynvml.nvmlDeviceGetComputeRunningProcesses, pynvml.nvmlDeviceGetGraphicsRunningProcesses):
                with contextlib.suppress(pynvml.NVMLError):  # MIG, or not told here: the other may be
                    running[-1] += [(each.pid, each.usedGpuMemory) for each in ask(device)]
        _write(folder, added_up(running))
        time.sleep(LOOK_EVERY_S)


def added_up(running: Collection[Collection[tuple[int, int | None]]]) -> dict[int, int]:
    """Bytes by pid, from what runs on each device.

    A process that computes and draws is told of twice on a device, with the same memory. None: not told.
    """
    used: dict[int, int] = {}
    for processes in running:
        here: dict[int, int] = {}
        for pid, held in processes:
            if held is not None:
                here[pid] = max(here.get(pid, 0), held)
        for pid, held in here.items():
            used[pid] = used.get(pid, 0) + held
    return used


def _write(folder: Path, used: Mapping[int, int]) -> None:
    answer: dict[str, Any] = {"at": time.monotonic(), "used": used}
    beside = folder / f"{_FILE}.new"
    beside.write_text(json.dumps(answer))
    beside.replace(folder / _FILE)


if __name__ == "__main__":
    main()
