"""Percent-format scripts (``# %%``) -> cells, as jupytext reads them; a test holds the two equal on our sources.

The part of the format that courses use: a YAML header, ``[markdown]`` and ``[raw]`` cells, titles, ``key=value``
metadata, Markdown in comments or triple quotes, commented magics. jupytext itself takes two seconds to import, too
long for every run of the grader.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping  # noqa: TC003 - dataclass fields are looked up at run time
from dataclasses import dataclass
from typing import Any

__all__ = ["RawCell", "is_percent", "parse"]

_MARKER = re.compile(r"^\s*#\s*%%(?:%*\s(?P<options>.*)|\s*)$")
_KEY = re.compile(r"(?:^|\s)(?P<key>[\w.@/-]+)\s*=\s*")
_DECODER = json.JSONDecoder()
_QUOTES = ('"""', "'''")
_MAGIC = re.compile(
    r"^\s*(?:# |#)*(?:%{1,3}[A-Za-z])"
    r"|^\s*(?:(?:# |#)+\s*)?[?!]\s*[A-Za-z.~$\\/{}]"
    r"|^(?:# |#)*\s*[A-Za-z_][\w$]*\s*=\s*(?:%{1,3}|!)[A-Za-z]"
    r"|^\s*(?:# )*[^\s]*\?\s*$"
    r"|^(?:# |#)*(?:cat|cd|cp|mv|rm|rmdir|mkdir|copy|ddir|echo|ls|ldir|ren)(?:$|\s$|\s[^=,])",
    re.ASCII,
)
_MAX_OPTIONS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RawCell:
    """A cell before it is cleaned and counted."""

    cell_type: str
    source: str
    metadata: Mapping[str, Any]
    id: str | None = None


def is_percent(text: str) -> bool:
    """Whether a text is a percent-format script: it has a line that starts a cell."""
    return re.search(r"^[ \t]*#[ \t]*%%(?:\s|$)", text, re.MULTILINE) is not None


def parse(text: str) -> list[RawCell]:
    """The cells of a percent-format script."""
    lines = _without_header(text.splitlines())
    cells: list[RawCell] = []
    quoted = _Quotes()
    start = 0
    fence, is_text = "", bool(lines) and _is_text(lines[0])
    for number, line in enumerate(lines):
        if quoted.is_open:
            quoted.read(line)
            continue
        quoted.read(line)
        if is_text:
            fence, closes = _fenced(fence, line)
            if fence or closes:
                continue
        if number > start and _MARKER.match(line):
            cells.append(_cell(lines[start:number]))
            start = number
            quoted = _Quotes()
            quoted.read(line)
            fence, is_text = "", _is_text(line)
    if start < len(lines):
        cells.append(_cell(lines[start:]))
    return cells


def _is_text(line: str) -> bool:
    marker = _MARKER.match(line)
    return marker is not None and _options(marker["options"] or "")[0] != "code"


def _fenced(fence: str, line: str) -> tuple[str, bool]:
    """The fence that is open after ``line`` of a Markdown cell, and whether the line closed one."""
    text = line.removeprefix("#").removeprefix(" ")
    match = re.match(r" {0,3}(`{3,}|~{3,})(.*)$", text)
    if match is None:
        return fence, False
    if not fence:
        is_fence = not (match[1][0] == "`" and "`" in match[2])
        return (match[1] if is_fence else ""), False
    closes = match[1][0] == fence[0] and len(match[1]) >= len(fence) and not match[2].strip()
    return ("" if closes else fence), closes


def _without_header(lines: list[str]) -> list[str]:
    """Drop the ``# ---`` header and the blank line behind it."""
    if not lines or lines[0].rstrip() != "# ---":
        return lines
    for number, line in enumerate(lines[1:200], start=1):
        if line.rstrip() == "# ---":
            rest = lines[number + 1 :]
            return rest[1:] if rest and not rest[0].strip() else rest
        if not line.startswith("#"):
            break
    return lines


def _cell(lines: list[str]) -> RawCell:
    marker = _MARKER.match(lines[0])
    kind, metadata = _options(marker["options"] or "") if marker else ("code", {})
    body = lines[1:] if marker else lines
    # jupytext counts the marker line too when it looks for the two blank lines that PEP 8 wants
    if len(lines) > 2 and not lines[-1].strip() and not lines[-2].strip() and lines[-3].strip():
        body = body[:-2]
    elif body and not body[-1]:
        body = body[:-1]
    if kind == "code":
        return RawCell(cell_type=kind, source="\n".join(_uncommented_magics(body)), metadata=metadata)
    return RawCell(cell_type=kind, source=_text(body), metadata=metadata)


def _text(body: list[str]) -> str:
    whole = "\n".join(body).strip()
    for quote in _QUOTES:
        for prefix in ("", "r", "R"):
            left = prefix + quote
            if whole.startswith(left) and whole.endswith(quote) and len(whole) >= len(left + quote):
                inner = whole[len(left) : -len(quote)]
                return "\n".join(inner.removeprefix("\n").removesuffix("\n").splitlines())
    return "\n".join(line[2:] if line.startswith("# ") else line.removeprefix("#") for line in body)


def _uncommented_magics(body: list[str]) -> list[str]:
    made: list[str] = []
    quoted = _Quotes()
    continues = False
    for line in body:
        if not quoted.is_open and (continues or _MAGIC.match(line)):
            bare = line.lstrip()
            indent = line[: len(line) - len(bare)]
            if bare.startswith("#"):
                bare = bare[2:] if bare.startswith("# ") else bare[1:]
            made.append(indent + bare)
            continues = line.rstrip().endswith("\\")
            quoted.read(made[-1])
        else:
            made.append(line)
            quoted.read(line)
    return made


def _options(options: str) -> tuple[str, dict[str, Any]]:
    """Cell type and metadata of ``[markdown] title key="value" other={"json": true}``."""
    options = options.strip()[:_MAX_OPTIONS]
    metadata: dict[str, Any] = {}
    first = _KEY.search(options)
    title = options[: first.start()].strip() if first else options
    position = first.start() if first else len(options)
    while (match := _KEY.match(options, position)) is not None:
        try:
            value, position = _DECODER.raw_decode(options, match.end())
        except (ValueError, RecursionError):
            value, position = _literal(options, match.end())
        metadata[match["key"]] = value
    kind = "code"
    for word, name in (("[markdown]", "markdown"), ("[raw]", "raw"), ("[md]", "markdown")):
        if word in title:
            title, kind = title.replace(word, "").strip(), name
            break
    title = title.lstrip("%").strip()
    if title:
        metadata = {"title": title, **metadata}
    return kind, metadata


def _literal(options: str, position: int) -> tuple[Any, int]:
    """A value that is no JSON: a Python literal up to the next key, or that text itself."""
    following = _KEY.search(options, position)
    end = following.start() if following else len(options)
    text = options[position:end].strip()
    try:
        return ast.literal_eval(text), end
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return text, end


class _Quotes:
    """Whether the next line begins inside a triple-quoted string."""

    def __init__(self) -> None:
        self._open = ""

    @property
    def is_open(self) -> bool:
        return bool(self._open)

    def read(self, line: str) -> None:
        if not self._open and line.lstrip().startswith("#"):
            return
        single = ""
        position = 0
        while position < len(line):
            char = line[position]
            triple = line[position : position + 3]
            if char == "\\":
                position += 2
            elif self._open:
                closes = triple == self._open
                self._open = "" if closes else self._open
                position += 3 if closes else 1
            elif single:
                single = "" if char == single else single
                position += 1
            elif char == "#":
                return
            elif triple in _QUOTES:
                self._open = triple
                position += 3
            else:
                single = char if char in "\"'" else ""
                position += 1
