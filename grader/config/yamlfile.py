"""YAML as plain data with the line of every key; everything that YAML can do and a course does not need is an error.

Built on ``yaml.parse`` and ``yaml.compose`` with the pure Python loader, whose nodes know their lines. No tag builds an
object: scalars become text, numbers, booleans or None, and nothing else is accepted. Size, depth and number of nodes
are bounded before anything is composed, so an alias bomb costs nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import yaml

from grader.errors import CourseError, Place

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Document", "KeyPath", "dotted", "read_yaml"]

MAX_BYTES = 512 << 10
MAX_DEPTH = 30
MAX_NODES = 20_000

KeyPath = tuple[str | int, ...]
"""``("assignments", 0, "limits", "memory")``"""

_TAG = "tag:yaml.org,2002:"
_SCALARS = {f"{_TAG}{name}" for name in ("str", "int", "float", "bool", "null", "timestamp", "value", "merge")}
_BOOLS = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}
_NUMBER_LENGTH = 40
_DECIMAL = re.compile(r"[-+]?[0-9][0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A YAML file as data."""

    data: Mapping[str, Any]
    """Mappings are dicts, sequences tuples."""
    lines: Mapping[KeyPath, int]
    """One-based line of every key and every item."""

    def line(self, path: KeyPath) -> int | None:
        """The line of ``path``, or of the innermost part of it that is in the file."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None


def dotted(path: KeyPath) -> str | None:
    """``assignments[0].limits.memory``; None for the file as a whole."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or None


def read_yaml(path: Path, shown: str) -> Document:
    """Read ``path``; ``shown`` is how errors call it. Raises CourseError."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise CourseError(
            "there is no such file",
            place=Place(file=shown),
            remedy="run grader in the course's folder, or name the course's folder",
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CourseError(f"it cannot be read ({reason})", place=Place(file=shown)) from error
    if len(raw) > MAX_BYTES:
        raise CourseError(f"it is larger than {MAX_BYTES >> 10} KiB", place=Place(file=shown))
    return parse_yaml(raw, shown)


def parse_yaml(raw: bytes, shown: str) -> Document:
    """Parse the bytes of a YAML file whose top is a mapping. Raises CourseError."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise CourseError(
            "it is not UTF-8 text", place=Place(file=shown, line=line), remedy="save it as UTF-8"
        ) from error
    try:
        _check_size(text, shown)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        raise _yaml_error(error, text, shown) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise CourseError(
            "there is a character here that YAML does not allow", place=Place(file=shown, line=line)
        ) from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise CourseError("this is not YAML", place=Place(file=shown)) from error
    if not isinstance(node, yaml.MappingNode):
        what = "the file is empty" if node is None else "expected lines such as `title: Deep Learning` at the top"
        raise CourseError(what, place=Place(file=shown, line=None if node is None else node.start_mark.line + 1))
    lines: dict[KeyPath, int] = {(): 1}
    data = _Builder(shown, lines).mapping(node, ())
    return Document(data=data, lines=MappingProxyType(lines))


def _check_size(text: str, shown: str) -> None:
    """Walk the events without building anything: bounds depth, counts nodes, refuses aliases."""
    depth = 0
    for nodes, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        mark = event.start_mark
        place = Place(file=shown, line=None if mark is None else mark.line + 1)
        if isinstance(event, yaml.AliasEvent):
            raise CourseError(
                f"aliases (*{(event.anchor or '')[:40]}) are not used here", place=place, remedy="write the value out"
            )
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise CourseError(f"nested more than {MAX_DEPTH} deep", place=place)
        if nodes > MAX_NODES:
            raise CourseError(f"more than {MAX_NODES} values", place=place)


def _yaml_error(error: yaml.MarkedYAMLError, text: str, shown: str) -> CourseError:
    mark = error.problem_mark or error.context_mark
    line = None if mark is None else mark.line + 1
    problem = (error.problem or error.context or "not YAML").replace("'\\t'", "a tab")
    remedy = None
    rows = text.splitlines()
    row = rows[line - 1] if line is not None and line <= len(rows) else ""
    if "\t" in row[: len(row) - len(row.lstrip())] or "a tab" in problem:
        problem, remedy = "a tab is used for indentation", "indent with spaces"
    elif "found another document" in problem:
        problem, remedy = "a second document begins here", "remove the line ---"
    elif problem.startswith("expected <block end>"):
        problem, remedy = "the indentation does not fit the lines above", "indent keys of one mapping alike"
    elif "mapping values are not allowed" in problem:
        remedy = "a text with a colon in it needs quotes; keys of one mapping need the same indentation"
    return CourseError(f"this is not YAML: {problem}", place=Place(file=shown, line=line), remedy=remedy)


class _Builder:
    """Nodes to plain data, noting lines."""

    def __init__(self, shown: str, lines: dict[KeyPath, int]) -> None:
        self._shown = shown
        self._lines = lines

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        data: dict[str, Any] = {}
        self._check_tag(node, {f"{_TAG}map"}, path)
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._error("expected a key (one word) here", line, path)
            key = key_node.value
            here = (*path, key[:100])
            if key in data:
                first = self._lines[here]
                raise self._error(
                    f"the key is here twice (first on line {first})", line, here, remedy="remove one of the two"
                )
            self._lines[here] = line
            data[key] = self.value(value_node, here)
        return data

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            self._check_tag(node, {f"{_TAG}seq"}, path)
            items: list[Any] = []
            for index, item in enumerate(node.value):
                here = (*path, index)
                self._lines[here] = item.start_mark.line + 1
                items.append(self.value(item, here))
            return tuple(items)
        self._check_tag(node, _SCALARS, path)
        return self._scalar(node, path)

    def _scalar(self, node: yaml.Node, path: KeyPath) -> Any:
        kind, text = node.tag.removeprefix(_TAG), node.value
        try:
            if kind == "null":
                return None
            if kind == "bool":
                return _BOOLS[text.lower()]
            if kind in ("int", "float") and len(text) <= _NUMBER_LENGTH:
                digits = text.replace("_", "").lower()
                if kind == "int":
                    # YAML 1.1 reads 010 as eight and 1:30 as ninety; people mean ten, and a time as text.
                    return int(digits) if _DECIMAL.fullmatch(text) else text
                return float(digits.replace(".inf", "inf").replace(".nan", "nan"))
        except (ValueError, KeyError) as error:
            raise self._error(
                f"expected a number or a text, found {text[:40]!r}", node.start_mark.line + 1, path
            ) from (error)
        return text

    def _check_tag(self, node: yaml.Node, known: set[str], path: KeyPath) -> None:
        if node.tag not in known:
            tag = node.tag.replace(_TAG, "!!")[:60]
            raise self._error(f"tags such as {tag} are not used here", node.start_mark.line + 1, path)

    def _error(self, what: str, line: int, path: KeyPath, remedy: str | None = None) -> CourseError:
        return CourseError(what, place=Place(file=self._shown, line=line, key=dotted(path)), remedy=remedy)
