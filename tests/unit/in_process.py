"""A wall whose guest is a thread of this process: everything but the sandbox is real."""

from __future__ import annotations

import contextlib
import linecache
import socket
import textwrap
import threading
from typing import Any

import torch

from grader.guest.wire import Channel
from grader.guest.worker import Worker
from grader.wall.host import Student, Wall


@contextlib.contextmanager
def notebook(source: str, *, cell: int = 3):
    """A wall to a notebook of one cell."""
    text = textwrap.dedent(source).strip()
    name = f"<cell {cell}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    names: dict[str, Any] = {"torch": torch}
    exec(compile(text, name, "exec"), names)
    ours, theirs = socket.socketpair()
    worker = Worker(Channel(theirs), names, can_fork=False)
    thread = threading.Thread(target=worker.loop, daemon=True)
    thread.start()
    wall = Wall(ours, seconds=60)
    wall.worker = worker
    try:
        yield wall
    finally:
        wall.close()
        thread.join(5)
        theirs.close()


def student_of(source: str):
    """A context that gives the student's names directly."""

    @contextlib.contextmanager
    def names():
        with notebook(source) as wall:
            yield Student(wall)

    return names()
