"""Where the lines of a notebook's cells stand in its file, so that an annotation points at them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["cell_lines"]

_BLANK = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder(strict=False)
_MOST_CELLS = 100_000


def cell_lines(data: bytes) -> list[list[int]]:
    """For each cell, the one-based line of the file on which each line of its source stands.

    Empty when the file is not the JSON that notebooks are; a cell whose source is one long string has that line for all
    of its lines. Linear in the size of the file, whatever is in it.
    """
    try:
        text = data.decode("utf-8-sig")
        return _Places(text).cells()
    except (ValueError, IndexError, RecursionError):
        return []


class _Places:
    """A walk over the top of the document; everything below it is skipped by the standard decoder."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._counted_to = 0
        self._line = 1

    def cells(self) -> list[list[int]]:
        found: list[list[int]] = []
        for key, at in self._members(self._blank(0)):
            if key == "cells" and self._text[at] == "[":
                found = []
                for cell in self._items(at):
                    if len(found) == _MOST_CELLS:
                        raise ValueError(key)
                    found.append(self._source(cell))
        return found

    def _source(self, at: int) -> list[int]:
        lines: list[int] = []
        for key, value in self._members(at):
            if key != "source":
                continue
            if self._text[value] == '"':
                text, _ = self._string(value)
                lines = [self._line_at(value)] * (text.count("\n") + 1)
            else:
                lines = []
                for item in self._items(value):
                    text, _ = self._string(item)
                    lines += [self._line_at(item)] * max(1, len(text.splitlines()))
        return lines

    def _members(self, at: int) -> Iterator[tuple[str, int]]:
        """Keys of the object at ``at`` with the places of their values; the end is where ``_end`` then points."""
        if self._text[at] != "{":
            raise ValueError(at)
        at = self._blank(at + 1)
        while self._text[at] != "}":
            key, at = self._string(at)
            at = self._blank(at)
            if self._text[at] != ":":
                raise ValueError(at)
            at = self._blank(at + 1)
            yield key, at
            at = self._after(at)

    def _items(self, at: int) -> Iterator[int]:
        """The places of the items of the array at ``at``."""
        if self._text[at] != "[":
            raise ValueError(at)
        at = self._blank(at + 1)
        while self._text[at] != "]":
            yield at
            at = self._after(at)

    def _string(self, at: int) -> tuple[str, int]:
        """The text at ``at``, and where it ends."""
        text, end = _DECODER.raw_decode(self._text, at)
        if not isinstance(text, str):
            raise ValueError(at)  # noqa: TRY004 - whatever is wrong with the file is a ValueError here
        return text, end

    def _after(self, at: int) -> int:
        """Past the value at ``at`` and the comma behind it."""
        _, at = _DECODER.raw_decode(self._text, at)
        at = self._blank(at)
        return self._blank(at + 1) if self._text[at] == "," else at

    def _blank(self, at: int) -> int:
        match = _BLANK.match(self._text, at)
        assert match is not None
        return match.end()

    def _line_at(self, at: int) -> int:
        if at < self._counted_to:
            return self._line
        self._line += self._text.count("\n", self._counted_to, at)
        self._counted_to = at
        return self._line
