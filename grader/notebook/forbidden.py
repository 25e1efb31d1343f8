"""A friendly early warning about forbidden names, from the text alone. It never takes a point: the checks decide."""

from __future__ import annotations

import ast
import fnmatch
from typing import TYPE_CHECKING

from grader.model import Flag
from grader.notebook.names import tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from grader.notebook.cells import Notebook

__all__ = ["forbidden_uses"]

_MAX_FLAGS = 50
_METHODS = "torch.Tensor."


def forbidden_uses(notebook: Notebook, names: Mapping[str, Iterable[str]]) -> list[Flag]:
    """Where the cells that are run seem to use a name that is forbidden there.

    Args:
        notebook: as submitted.
        names: by exercise, full dotted names such as ``torch.nn.functional.softmax``, with ``*`` as a wildcard. A name
            under ``torch.Tensor`` stands for the method: any ``x.softmax`` whose ``x`` is not known to be something
            else. In a cell that answers no exercise only what every exercise forbids counts.
    """
    patterns: dict[str | None, set[str]] = {exercise: set(forbidden) for exercise, forbidden in names.items()}
    if not any(patterns.values()):
        return []
    everywhere = set.intersection(*patterns.values())
    aliases: dict[str, str] = {}
    own: set[str] = set()
    walked = [(cell, list(ast.walk(module))) for cell in notebook.code if (module := tree(cell.source)) is not None]
    for _, nodes in walked:
        for node in nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                aliases.update(_imported(node))
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                own.add(node.name)
    flags: list[Flag] = []
    for cell, nodes in walked:
        forbidden = patterns.get(cell.exercise, everywhere)
        for line, name in sorted(set(_uses(nodes, aliases, own))):
            if len(flags) < _MAX_FLAGS and (found := _forbidden(name, forbidden)) is not None:
                flags.append(
                    Flag(
                        id="forbidden-name",
                        text=f"Cell {cell.index + 1}, line {line} seems to use {found}, which an exercise asks you to "
                        "write yourself.",
                    )
                )
    return flags


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    """``import torch.nn.functional as F`` -> ``F``: ``torch.nn.functional``."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.asname:
                yield alias.asname, alias.name
            else:
                yield alias.name.split(".")[0], alias.name.split(".")[0]
    elif node.module and not node.level:
        for alias in node.names:
            yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _uses(nodes: list[ast.AST], aliases: dict[str, str], own: set[str]) -> Iterator[tuple[int, str]]:
    for node in nodes:
        if isinstance(node, ast.Attribute):
            chain = _chain(node)
            root = chain[0] if chain else ""
            if root in aliases:
                yield node.lineno, ".".join((aliases[root], *chain[1:]))
            elif root not in own and root not in ("self", "cls", "super"):
                yield node.lineno, f"{_METHODS}{node.attr}"
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id not in own:
            target = aliases.get(node.id, "")
            if "." in target:
                yield node.lineno, target
        elif isinstance(node, ast.ImportFrom):
            for _, target in _imported(node):
                yield node.lineno, target


def _chain(node: ast.Attribute) -> tuple[str, ...]:
    """``a.b.c`` -> ("a", "b", "c"); empty when it begins with anything but a name."""
    parts = [node.attr]
    value: ast.expr = node.value
    while isinstance(value, ast.Attribute):
        parts.append(value.attr)
        value = value.value
    return (
        (*([value.id] if isinstance(value, ast.Name) else []), *reversed(parts)) if isinstance(value, ast.Name) else ()
    )


def _forbidden(name: str, patterns: set[str]) -> str | None:
    if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
        return f".{name.removeprefix(_METHODS)}()" if name.startswith(_METHODS) else name
    return None
