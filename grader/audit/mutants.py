"""Small changes of the solution's own code: comparison, constant, axis, sign, operator, dropped statement.

A change replaces a piece of the text and leaves the rest as it was written, so that a survivor can be shown as a line
before and after. Docstrings, annotations, decorators' names and what an exception says are left alone.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Mutant", "mutants"]

_COMPARISONS = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
_OPERATORS = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"),
    ast.Pow: ("**", "*"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
}
_SWAPPED = {
    "sum": "mean",
    "mean": "sum",
    "amax": "amin",
    "max": "min",
    "min": "max",
    "argmax": "argmin",
    "zeros": "ones",
    "ones": "zeros",
    "zeros_like": "ones_like",
    "ones_like": "zeros_like",
    "sin": "cos",
    "cos": "sin",
    "tril": "triu",
    "triu": "tril",
    "eval": "train",
    "no_grad": "enable_grad",
    "enable_grad": "no_grad",
}
"""Functions that stand for one another in typical mistakes."""
_DROPPED = frozenset({"clone", "detach", "contiguous", "abs", "clamp", "clamp_min", "to", "double", "float", "sign"})
"""Methods whose call may be left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One change in one exercise cell."""

    exercise: str
    cell: int
    """Index of the cell in the solution notebook."""
    source: str
    """The cell's whole source, changed."""
    line: int
    """One-based line in the cell."""
    was: str
    now: str
    """The changed lines, without what surrounds them."""


def mutants(source: str, *, exercise: str, cell: int) -> list[Mutant]:
    """All mutants of an exercise cell, each once, in the order of the text."""
    raw = source.encode()
    starts = [0]
    for text in raw.split(b"\n"):
        starts.append(starts[-1] + len(text) + 1)
    found: dict[str, Mutant] = {}
    changes = sorted(_Changes(raw, starts).of(ast.parse(source)), key=lambda change: change[0])
    for start, end, new in changes:
        changed = (raw[:start] + new.encode() + raw[end:]).decode()
        if changed == source or changed in found or not _compiles(changed):
            continue
        line = raw[:start].count(b"\n")
        before, after = source.split("\n"), changed.split("\n")
        tail = 0
        while tail < min(len(before), len(after)) - line - 1 and before[-1 - tail] == after[-1 - tail]:
            tail += 1
        found[changed] = Mutant(
            exercise=exercise,
            cell=cell,
            source=changed,
            line=line + 1,
            was=_joined(before[line : len(before) - tail]),
            now=_joined(after[line : len(after) - tail]),
        )
    return list(found.values())


def _joined(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


def _compiles(source: str) -> bool:
    try:
        compile(source, "<mutant>", "exec")
    except (SyntaxError, ValueError):
        return False
    return True


Change = tuple[int, int, str]
"""Start and end in bytes, and the new text."""


class _Changes:
    def __init__(self, raw: bytes, starts: list[int]) -> None:
        self.raw = raw
        self.starts = starts

    def of(self, node: ast.AST) -> Iterator[Change]:
        """The changes in a node and all below it."""
        yield from self._here(node)
        for child in self._children(node):
            yield from self.of(child)

    def _children(self, node: ast.AST) -> Iterator[ast.AST]:
        """What may be changed: no docstring, annotation, or exception's text."""
        if isinstance(node, ast.FunctionDef):
            yield from (default for default in (*node.args.defaults, *node.args.kw_defaults) if default is not None)
            yield from (decorator for decorator in node.decorator_list if isinstance(decorator, ast.Call))
            yield from _body(node.body)
        elif isinstance(node, ast.ClassDef):
            yield from _body(node.body)
        elif isinstance(node, ast.AnnAssign):
            if node.value is not None:
                yield node.value
        elif isinstance(node, ast.Module):
            yield from _body(node.body)
        elif not isinstance(node, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom) and not _is_negative(node):
            yield from ast.iter_child_nodes(node)

    def _here(self, node: ast.AST) -> Iterator[Change]:
        if isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
            for op, left, right in zip(node.ops, operands, operands[1:], strict=False):
                yield from self._operator(left, right, *_COMPARISONS[type(op)])
        elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            yield from self._operator(node.left, node.right, *_OPERATORS[type(node.op)])
        elif isinstance(node, ast.AugAssign) and type(node.op) in _OPERATORS:
            was, now = _OPERATORS[type(node.op)]
            yield from self._operator(node.target, node.value, f"{was}=", f"{now}=")
            yield self._replaced(node, "pass")
        elif isinstance(node, ast.BoolOp):
            was, now = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
            for left, right in zip(node.values, node.values[1:], strict=False):
                yield from self._operator(left, right, was, now)
        elif isinstance(node, ast.UnaryOp):
            yield from self._unary(node)
        elif isinstance(node, ast.Constant):
            yield from self._constant(node)
        elif isinstance(node, ast.If | ast.IfExp):
            # A guard that only raises: always raising is caught by anything; never raising is the mistake.
            guard = isinstance(node, ast.If) and not node.orelse
            yield self._replaced(node.test, "False" if guard else f"not ({self._text(node.test)})")
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield self._replaced(node, "pass")
        elif isinstance(node, ast.Assign) and not any(isinstance(target, ast.Name) for target in node.targets):
            if not isinstance(node.targets[0], ast.Tuple):
                yield self._replaced(node, "pass")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in _DROPPED:
                yield self._replaced(node, self._text(node.func.value))
            if node.func.attr in _SWAPPED:
                end = self._end(node.func)
                yield end - len(node.func.attr.encode()), end, _SWAPPED[node.func.attr]

    def _unary(self, node: ast.UnaryOp) -> Iterator[Change]:
        if isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
            value = node.operand.value
            if isinstance(value, int):
                yield self._replaced(node, str(-value - 1))
            elif isinstance(value, float):
                yield self._replaced(node, repr(-2 * value))
        elif isinstance(node.op, ast.USub | ast.Not | ast.Invert):
            yield self._replaced(node, f"({self._text(node.operand)})")

    def _constant(self, node: ast.Constant) -> Iterator[Change]:
        value = node.value
        if isinstance(value, bool):
            yield self._replaced(node, str(not value))
        elif isinstance(value, int):
            yield self._replaced(node, str(value + 1))
        elif isinstance(value, float):
            yield self._replaced(node, repr(2 * value if value else 1.0))

    def _operator(self, left: ast.expr, right: ast.expr, was: str, now: str) -> Iterator[Change]:
        """Replace the operator between two operands; parentheses and blanks stay."""
        start, end = self._end(left), self._start(right)
        between = self.raw[start:end].decode()
        pattern = rf"\b{was}\b" if was[0].isalpha() else re.escape(was)
        found = re.search(pattern, between)
        if found is not None and "#" not in between:
            yield start, end, between[: found.start()] + now + between[found.end() :]

    def _replaced(self, node: ast.expr | ast.stmt, text: str) -> Change:
        return self._start(node), self._end(node), text

    def _text(self, node: ast.expr | ast.stmt) -> str:
        return self.raw[self._start(node) : self._end(node)].decode()

    def _start(self, node: ast.expr | ast.stmt) -> int:
        return self.starts[node.lineno - 1] + node.col_offset

    def _end(self, node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.starts[node.end_lineno - 1] + node.end_col_offset


def _is_negative(node: ast.AST) -> bool:
    """A number such as −1, which is changed as a whole."""
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant)


def _body(statements: list[ast.stmt]) -> list[ast.stmt]:
    """Statements without the docstring."""
    first = statements[0] if statements else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return statements[1:]
    return statements
