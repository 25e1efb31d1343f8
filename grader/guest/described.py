"""Exceptions of the student's as plain data."""

from __future__ import annotations

import builtins
import re
import traceback
from typing import Any

from . import meters
from .wire import Unsendable

__all__ = ["TEXT_LIMIT", "MissingName", "describe_exception", "name_of"]

TEXT_LIMIT = 2_000
CELL_NAME = re.compile(r"^<cell (\d+)>$")


class MissingName(Exception):
    """The notebook does not define a name."""


def name_of(kind: type) -> str:
    """A class's qualified name, bounded."""
    module = str(getattr(kind, "__module__", ""))
    name = str(getattr(kind, "__qualname__", "?"))
    return (name if module in ("builtins", "__main__") else f"{module}.{name}")[:200]


def describe_exception(error: BaseException) -> dict[str, Any]:
    """Plain JSON about an exception: type, built-in ancestors, message, the innermost line of the student's."""
    kind = type(error)
    try:
        message = str(error)[:TEXT_LIMIT]
    except Exception:  # noqa: BLE001 - a student's __str__ may do anything
        message = ""
    about: dict[str, Any] = {
        "type": name_of(kind),
        "mro": [k.__name__ for k in type.mro(kind) if getattr(builtins, k.__name__, None) is k],
        "message": message,
    }
    if isinstance(error, MissingName):
        about["missing"] = message
    if isinstance(error, meters.ForbiddenUse):
        about["forbidden"] = message
    if isinstance(error, Unsendable):
        about["unsendable"] = message
    if isinstance(error, SyntaxError):
        found = CELL_NAME.match(str(error.filename))
        if found:
            about["at"] = [int(found[1]), int(error.lineno or 1), str(error.text or "").rstrip()[:300]]
    frames = traceback.extract_tb(error.__traceback__, limit=-200)
    for frame in frames:
        found = CELL_NAME.match(frame.filename)
        if found:
            about["at"] = [int(found[1]), int(frame.lineno or 1), str(frame.line or "").strip()[:300]]
    return about
