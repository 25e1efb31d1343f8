"""A worker that does what it is told: it executes lines of Python that the host sends, hostile ones too."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket

__all__ = ["serve"]


def serve(wall: socket.socket, limits: dict[str, Any]) -> None:
    """Execute each line and answer with what it left in ``out``, or with the error as a text.

    Args:
        wall: the guest's end of the wall. A line is ``{"source": …, "values": {name: value, …}}``.
        limits: known to the lines as ``limits``.
    """
    names: dict[str, Any] = {"limits": limits}
    with wall.makefile("rb") as lines:
        for line in lines:
            names["out"] = None
            try:
                message = json.loads(line)
                names.update(message["values"])
                exec(message["source"], names)  # noqa: S102 - what it is for
                answer = names["out"]
            except SystemExit:
                raise
            except BaseException as error:  # noqa: BLE001 - KeyboardInterrupt is an answer
                answer = f"{type(error).__name__}: {error}"
            wall.sendall(json.dumps(answer).encode() + b"\n")
