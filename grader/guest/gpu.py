"""What a guest does about its GPU, if it gets one.

Theory of operation. CUDA does not survive a fork: once a process has asked the driver for anything (``is_available()``
is enough), none of its forks can use the GPU, and torch's autograd starts a thread for each GPU that it finds. So the
warm process asks nothing (``is_handed_over`` looks at a variable), a notebook that has used the GPU is loaded anew for
each check instead of being forked (``is_in_use``), and seeds and the cap on memory wait until CUDA starts
(``seed_later``, ``cap_later``).

The cap in torch's allocator is a courtesy: whoever stays with torch gets ``torch.OutOfMemoryError`` in time. It is not
trusted; the host watches from outside.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["cap_later", "failed_for_good", "is_handed_over", "is_in_use", "seed_later", "settle"]

# Bound before any student's code runs.
_synchronize: Callable[[], None] | None = getattr(torch._C, "_cuda_synchronize", None)
_has_started: Callable[[], bool] = torch.cuda.is_initialized
_IS_BUILT = torch.version.cuda is not None


def is_handed_over() -> bool:
    """Whether this guest has a GPU. Asks no driver."""
    return os.environ.get("CUDA_VISIBLE_DEVICES") != ""


def is_in_use() -> bool:
    """Whether this process has talked to the driver: it then holds the driver's devices open, and cannot be forked."""
    for fd in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{fd}").startswith("/dev/nvidia"):
                return True
    return False


def seed_later(seed: int) -> None:
    """Seed the generators of all GPUs, now or when CUDA starts."""
    if _IS_BUILT and is_handed_over():
        torch.cuda.manual_seed_all(seed)  # waits by itself, and asks no driver


def cap_later(limit_bytes: int | None) -> None:
    """Have torch's allocator hand out no more than this, from when CUDA starts."""
    if limit_bytes is None or not is_handed_over():
        return

    def cap() -> None:
        _, whole = torch.cuda.mem_get_info()
        torch.cuda.set_per_process_memory_fraction(min(1.0, limit_bytes / whole))

    torch.cuda._lazy_call(cap)  # nothing public waits for the start


def settle() -> None:
    """Wait until the GPU has done all that this process gave it to do, on every stream. Raises what CUDA raises."""
    if _synchronize is not None and _has_started():
        _synchronize()


def failed_for_good() -> str | None:
    """What CUDA says of an error after which this process can use the GPU no more; None while it can."""
    try:
        settle()
    except RuntimeError as error:
        return str(error).splitlines()[0][:300] if str(error) else type(error).__name__
    return None
