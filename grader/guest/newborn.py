"""What every process that is to become a guest does alike: warm up, and turn from a process of ours into the student's.

The zygote does the first once and forks for the second; the process of a container does both (``contained``).
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from grader.guest import confine, memory, seccomp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["be_guest", "leave_host_paths", "send", "versions", "warm_up"]


def leave_host_paths() -> None:
    """Forget paths and finders of editable installs: they lead to folders that are not here."""
    os.umask(0o077)
    sys.path[:] = [entry for entry in sys.path if entry and Path(entry).exists()]
    sys.meta_path[:] = [finder for finder in sys.meta_path if "_Editable" not in getattr(finder, "__name__", "")]


def warm_up(preload: Sequence[str], worker_name: str) -> Any:
    """Import everything, initialise what is lazy, and lay the memory out so that forks are cheap.

    Returns the worker's ``serve``. Raises RuntimeError when a thread was left behind, for a fork would lack it, or
    something has used the GPU, for a fork could not.
    """
    handed_over = os.environ.get("CUDA_VISIBLE_DEVICES") != ""
    for name in preload:
        importlib.import_module(name)
    if "torch" in sys.modules:
        _exercise_torch(backward=not handed_over)
    worker = importlib.import_module(worker_name)
    if hasattr(worker, "warm"):
        worker.warm()
    serve = worker.serve
    threads = memory.threads()
    if threads != 1:
        raise RuntimeError(f"the warm process has {threads} threads; one was expected")
    if handed_over and "grader.guest.gpu" in sys.modules and sys.modules["grader.guest.gpu"].is_in_use():
        raise RuntimeError("the warm process has used the GPU: what it has imported must leave that to the notebook")
    seccomp.prepare()
    gc.collect()
    gc.freeze()
    memory.collapse()
    return serve


def _exercise_torch(*, backward: bool) -> None:
    """Run a little of everything once: first calls load kernels, build tables and fault pages in.

    Args:
        backward: not where there is a GPU: the first backward pass, on the CPU too, asks the driver how many there are
            and starts a thread for each.
    """
    import torch

    torch.set_num_threads(1)
    x = torch.randn(8, 8, requires_grad=True)
    for dtype in (torch.float32, torch.float64):
        y = x.to(dtype)
        loss = torch.nn.functional.cross_entropy(torch.softmax(y @ y.T, 1).log(), torch.arange(8))
        if backward:
            loss.backward()
    layer = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.ReLU(), torch.nn.LayerNorm(4))
    loss = layer(x.detach()).sum() + torch.nn.Conv2d(2, 2, 3)(torch.randn(2, 2, 8, 8)).sum()
    if backward:
        loss.backward()
        torch.optim.SGD(layer.parameters(), lr=0.1).step()
    str(x)
    torch.manual_seed(0)


def versions() -> dict[str, Any]:
    """What the warm process holds and which packages it has."""
    loaded = ("torch", "numpy", "IPython", "safetensors", "matplotlib")
    return {
        "inherited_bytes": confine.writable_memory_bytes(),
        "python": sys.version.split()[0],
        "versions": {name: str(sys.modules[name].__version__) for name in loaded if name in sys.modules},
    }


def be_guest(
    connection: socket.socket,
    request: dict[str, Any],
    wall_fd: int,
    serve: Any,
    *,
    enclose: Callable[[dict[str, Any]], None],
) -> NoReturn:
    """Be the guest's first process: enclose, report, wait for the go, serve. Never returns.

    Args:
        connection: whoever asked for the guest; closed before the first byte of a student's arrives.
        request: holds the ``limits``.
        wall_fd: the guest's end of the wall.
        serve: the worker's function.
        enclose: gives up, for good, all that a student must not have. It raises rather than do half of it.
    """
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        enclose(request)
        os.environ["PWD"] = os.getcwd()
        send(connection, {"event": "ready"})
        if connection.recv(16) != b"go":
            os._exit(0)
        connection.detach()
        wall = socket.socket(fileno=confine.keep_only(wall_fd))
    except BaseException as error:  # noqa: BLE001 - anything but a confined guest is a failure of ours
        with contextlib.suppress(OSError):
            send(connection, {"event": "failed", "what": f"{type(error).__name__}: {error}"})
        os._exit(70)
    try:
        serve(wall, request["limits"])
    except SystemExit as leaving:
        os._exit(leaving.code if isinstance(leaving.code, int) else 1)
    except BaseException:  # noqa: BLE001 - no frame of ours runs after the student's
        os._exit(71)
    os._exit(0)


def send(channel: socket.socket, message: dict[str, Any]) -> None:
    """One message to the host."""
    channel.send(json.dumps(message).encode())
