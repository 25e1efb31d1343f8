"""Notebook JSON as students' tools really leave it: bounded, tolerant, and never more than linear work.

Depth is measured by a scan of brackets before the JSON parser (whose recursion it bounds) sees a byte. JSON that ends
too early, or is broken in the middle, is salvaged cell by cell.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

__all__ = ["MAX_DEPTH", "Parsed", "TooMuch", "parse"]

MAX_DEPTH = 120
"""Real notebooks stay below 30, widget and plot data included."""
MAX_VALUES = 5_000_000
"""Strings, brackets and commas; what a parsed value takes in memory is bounded by it (about 60 bytes each)."""

_STRUCTURE = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{},]', re.DOTALL)
_CELLS = re.compile(r'"cells"\s*:\s*\[')
_CELL_START = re.compile(
    r'\{\s*"(?:attachments|cell_type|execution_count|id|input|metadata|outputs|source)"\s*:', re.DOTALL
)
_SPACE = re.compile(r"[\s,]*")
_MAX_SALVAGED = 100_000
_LONGEST_NUMBER = 400


class TooMuch(Exception):
    """Nested more than ``MAX_DEPTH`` deep, or more than ``MAX_VALUES`` values; ``str`` says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """A JSON value and how much had to be forgiven to get it."""

    value: Any
    is_partial: bool = False
    """The JSON was broken; ``value`` holds the cells that are complete."""


def parse(text: str) -> Parsed | None:
    """The JSON value in ``text``, or the cells that can be salvaged from it; None when there are none.

    Raises:
        TooMuch: before anything is parsed.
    """
    _check_size(text)
    start = len(text) - len(text.lstrip())
    try:
        value, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return _salvage(text)
    return Parsed(value=value, is_partial=bool(text[end:].strip()))


def _check_size(text: str) -> None:
    depth = 0
    for count, match in enumerate(_STRUCTURE.finditer(text)):
        char = text[match.start()]
        if char in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise TooMuch(f"is nested more than {MAX_DEPTH} levels deep")
        elif char in "]}":
            depth -= 1
        if count > MAX_VALUES:
            raise TooMuch("holds several million values")


def _salvage(text: str) -> Parsed | None:
    """Decode one cell after the other from the start of ``cells``; after a broken one, go on at the next that starts.

    A failed attempt may have read far ahead, and ``JSONDecodeError`` counts the lines before it, so all attempts
    together share a budget: reading a character costs 50, counting it 1.
    """
    opening = _CELLS.search(text)
    position = opening.end() if opening else 0
    budget = 400 * len(text) + 1_000_000
    cells: list[Any] = []
    while len(cells) < _MAX_SALVAGED:
        position = _after_space(text, position)
        try:
            cell, position = _DECODER.raw_decode(text, position)
        except json.JSONDecodeError as error:
            cell = None
            end = len(text) if error.msg.startswith("Unterminated") else error.pos
            budget -= 50 * (end - position + 1) + position
        except (ValueError, RecursionError):
            cell = None
            budget -= 50 * (len(text) - position + 1) + position
        if isinstance(cell, dict) and ("source" in cell or "input" in cell):
            cells.append(cell)
            continue
        found = _CELL_START.search(text, position + 1 if cell is None else position)
        if found is None or budget <= 0:
            break
        position = found.start()
    return Parsed(value={"cells": cells}, is_partial=True) if cells else None


def _after_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _integer(digits: str) -> int:
    return int(digits) if len(digits) <= _LONGEST_NUMBER else 0


_DECODER = json.JSONDecoder(strict=False, parse_int=_integer)
