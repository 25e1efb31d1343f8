"""Which names a cell defines, uses or imports, found without running it; tolerant of magics and of syntax errors."""

from __future__ import annotations

import ast
import functools
import re
import warnings

__all__ = ["as_python", "bindings", "definitions", "functions", "tree", "words"]

_MAX_SOURCE = 200_000
_LINE_MAGIC = re.compile(r"^([ \t]*)(?:[%!?].*|[\w.]+\?{1,2}[ \t]*)$")
_ASSIGNED_MAGIC = re.compile(r"^([ \t]*[A-Za-z_]\w*[ \t]*=[ \t]*)[%!].*$")
_PYTHON_CELL_MAGICS = {"time", "timeit", "capture", "prun", "python", "python3", "pypy"}
_DEFINITION = re.compile(r"^(?:async[ \t]+def|def|class)[ \t]+([A-Za-z_]\w*)|^([A-Za-z_]\w*)[ \t]*=(?!=)", re.MULTILINE)
_WORD = re.compile(r"[^\W\d]\w*")


def as_python(source: str) -> str:
    """The cell with its magics blanked (line by line, so that line numbers stay); empty for other languages."""
    lines = source.split("\n")
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    if lines[first].startswith("%%"):
        magic = lines[first][2:].split(maxsplit=1)
        if not magic or magic[0] not in _PYTHON_CELL_MAGICS:
            return ""
        lines[first] = ""
    for number, line in enumerate(lines):
        if "%" in line or "!" in line or "?" in line:
            lines[number] = _ASSIGNED_MAGIC.sub(r"\1None", _LINE_MAGIC.sub(r"\1pass", line))
    return "\n".join(lines)


@functools.lru_cache(maxsize=64)
def tree(source: str) -> ast.Module | None:
    """The cell's syntax tree, to be read only; None when it is no Python, too long, or too deep for the parser."""
    if len(source) > _MAX_SOURCE:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a student's "\d" is no warning of ours
        for text in dict.fromkeys((source, as_python(source))):
            try:
                return ast.parse(text)
            except (SyntaxError, ValueError, MemoryError, RecursionError):
                continue
    return None


@functools.lru_cache(maxsize=2048)
def definitions(source: str) -> tuple[str, ...]:
    """Functions and classes that the cell defines at its top level, and plain names that it assigns."""
    module = tree(source)
    if module is None:
        return tuple(dict.fromkeys(a or b for a, b in _DEFINITION.findall(source[:_MAX_SOURCE])))
    found: list[str] = []
    for statement in module.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.append(statement.name)
        elif isinstance(statement, ast.Assign):
            found.extend(target.id for target in statement.targets if isinstance(target, ast.Name))
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
            found.append(statement.target.id)
    return tuple(dict.fromkeys(found))


def functions(source: str) -> tuple[str, ...]:
    """Functions and classes that the cell defines at its top level."""
    module = tree(source)
    if module is None:
        return tuple(dict.fromkeys(a for a, _ in _DEFINITION.findall(source[:_MAX_SOURCE]) if a))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return tuple(dict.fromkeys(statement.name for statement in module.body if isinstance(statement, kinds)))


def bindings(source: str) -> frozenset[str]:
    """Every name that the cell may bind at its top level: definitions, imports, assignments in any block."""
    module = tree(source)
    if module is None:
        return frozenset(definitions(source))
    found: set[str] = set()
    waiting: list[ast.AST] = list(module.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Lambda):
            continue
        waiting.extend(ast.iter_child_nodes(node))
    return frozenset(found)


def words(source: str) -> frozenset[str]:
    """Every word in the cell that could be a name."""
    return frozenset(_WORD.findall(source))
