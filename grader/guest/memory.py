"""Lay a warm process's memory out so that its forks are cheap, and fork it."""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["collapse", "fork", "gather_code", "threads"]

HUGE_PAGE = 2 << 20
ADVISE_HUGE, COLLAPSE = 14, 25
MAY_MOVE, TO_THERE = 1, 2
MUCH_USED = 64
"""Pages of a huge page's 512 that must be in use for it to be worth its memory."""

_libc = ctypes.PyDLL(None, use_errno=True)
"""Called with the interpreter's lock held, so that a child has it too."""
_libc.mmap.restype = _libc.mremap.restype = ctypes.c_void_p


def collapse() -> None:
    """Gather anonymous memory in huge pages: a fork then copies 512 times fewer page-table entries.

    Measured: fork and wait of a torch process 20 ms before, 6.5 ms after. An old kernel says no, and nothing is lost.
    """
    for start, end, rights, name in _areas():
        if rights.startswith("rw-p") and name in ("", "[heap]"):
            for advice in (ADVISE_HUGE, COLLAPSE):
                _libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), advice)


def gather_code() -> int:
    """Put the code of large libraries that was used so far into huge pages of our own; how many.

    A fork starts without page-table entries for the code in files and takes a page fault for every 64 kB of it that it
    runs; huge pages of anonymous memory it inherits whole. A copy of a notebook that answers one call took 1,000 page
    faults before and 780 after, for 120 to 160 MB once. The same is done by Node.js (``--use-largepages``) and
    HHVM. To be called while no other thread runs, for between two instructions the code lies elsewhere. Processors
    that need to be told of new code are left alone.
    """
    moved = 0
    for start, end, rights, name in _areas() if platform.machine() == "x86_64" else ():
        if rights != "r-xp" or not Path(name).name.startswith("libtorch"):
            continue
        for place in range(start, end, HUGE_PAGE):
            if _pages_in_use(place) >= MUCH_USED and _replace(place):
                moved += 1
    return moved


def _pages_in_use(place: int) -> int:
    """How many pages from this address to the end of the huge page this process has a page-table entry for."""
    pages = HUGE_PAGE // mmap.PAGESIZE
    try:
        with open("/proc/self/pagemap", "rb") as pagemap:
            pagemap.seek(place // mmap.PAGESIZE * 8)
            return sum(entry >> 7 for entry in pagemap.read(pages * 8)[7::8])
    except OSError:
        return 0


def _areas() -> Iterator[tuple[int, int, str, str]]:
    """First and last whole huge page (as addresses), rights and file of the areas of this process that hold one."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, rights, _, _, _, *name = line.split(None, 5)
        low, high = (int(part, 16) for part in span.split("-"))
        start, end = -(-low // HUGE_PAGE) * HUGE_PAGE, high // HUGE_PAGE * HUGE_PAGE
        if end > start:
            yield start, end, rights, name[0] if name else ""


def _replace(place: int) -> bool:
    """Put a copy of the huge page of code at this address in its place, in memory of its own."""
    size = ctypes.c_size_t(HUGE_PAGE)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    room = _libc.mmap(None, ctypes.c_size_t(2 * HUGE_PAGE), mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0)
    if room in (None, ctypes.c_void_p(-1).value):
        return False
    fresh = -(-room // HUGE_PAGE) * HUGE_PAGE
    _libc.madvise(ctypes.c_void_p(fresh), size, ADVISE_HUGE)
    ctypes.memmove(fresh, place, HUGE_PAGE)
    moved = False
    # Small pages in the file's place would make forks dearer, so not without the kernel's word that it is a huge one.
    huge = _libc.madvise(ctypes.c_void_p(fresh), size, COLLAPSE) == 0
    if huge and _libc.mprotect(ctypes.c_void_p(fresh), size, mmap.PROT_READ | mmap.PROT_EXEC) == 0:
        there = _libc.mremap(ctypes.c_void_p(fresh), size, size, MAY_MOVE | TO_THERE, ctypes.c_void_p(place))
        moved = bool(there == place)
    for low, high in ((room, fresh), (fresh if not moved else fresh + HUGE_PAGE, room + 2 * HUGE_PAGE)):
        if high > low:
            _libc.munmap(ctypes.c_void_p(low), ctypes.c_size_t(high - low))
    return moved


def threads() -> int:
    """How many threads this process has; 0 where the kernel does not say."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 0


def fork() -> int:
    """``os.fork`` without what Python does in the child for other threads' locks, where there are no other threads.

    Its hooks (``logging``, ``threading``, ``random``, IPython's history) look at so much that a child has copied 300
    pages before its first line, and its parent 60; a copy of a notebook that answers one call copies 800. What libc
    itself has to do is done. The child draws the same random numbers as the parent: seed it. Raises OSError.
    """
    if threads() != 1:
        return os.fork()
    pid: int = _libc.fork()
    if pid < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"fork: {os.strerror(number)}")
    return pid
