"""Variants of the solution, as files: ``correct/*.py``, ``wrong/*.py``, and ``audit.yaml`` beside them."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from grader.config import dotted, read_yaml
from grader.errors import CourseError, Place
from grader.notebook import definitions

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from grader.config import Assignment

__all__ = ["Declared", "EquivalentGeneric", "EquivalentMutant", "Variant", "read_declared", "read_variants"]

_KEYS = ("exercise", "caught-by", "also-breaks", "may-break", "told")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Another answer: code that runs as a last cell behind the solution."""

    name: str
    """The file's name without ``.py``."""
    path: Path
    code: str
    line: str
    """The first line of its docstring."""
    defines: tuple[str, ...]
    """Names that it replaces."""
    right: bool
    exercise: str = ""
    """What a wrong one breaks."""
    caught_by: tuple[str, ...] = ()
    also_breaks: tuple[str, ...] = ()
    may_break: tuple[str, ...] = ()
    """Where it depends on the machine's speed or on luck whether points are lost."""
    told: str | None = None
    """The misconception that the student must be told of."""


def read_variants(assignment: Assignment, exercises: Collection[str]) -> list[Variant]:
    """All variants of an assignment, right ones first, by name.

    Raises:
        CourseError: a file cannot be parsed, or does not say what it breaks.
    """
    return [
        _variant(path, folder == "correct", exercises)
        for folder in ("correct", "wrong")
        for path in sorted((assignment.solution_folder / folder).glob("*.py"))
    ]


def _variant(path: Path, right: bool, exercises: Collection[str]) -> Variant:
    place = Place(file=f"{path.parent.name}/{path.name}")
    try:
        code = path.read_text(encoding="utf-8")
        module = ast.parse(code)
    except (OSError, ValueError, SyntaxError) as error:
        raise CourseError(f"it is no Python: {error}", place=place) from error
    lines = (ast.get_docstring(module) or "").splitlines()
    if not lines:
        remedy = "say in a docstring what it does; docs/writing-an-assignment.md shows how"
        raise CourseError("a variant without a docstring", place=place, remedy=remedy)
    about = dict(line.split(": ", 1) for line in lines[1:] if line.startswith(tuple(f"{key}: " for key in _KEYS)))
    if not right and not {"exercise", "caught-by"} <= about.keys():
        remedy = "add lines `exercise: …` and `caught-by: …` to its docstring"
        raise CourseError("it does not say what it breaks and which checks catch it", place=place, remedy=remedy)
    also, may = (_list(about.get(key, "")) for key in ("also-breaks", "may-break"))
    broken = [about["exercise"], *also, *may] if not right else []
    for name in broken:
        if name not in exercises:
            remedy = f"use one of {', '.join(exercises)}"
            raise CourseError(f"there is no exercise {name!r}", place=place, remedy=remedy)
    return Variant(
        name=path.stem,
        path=path,
        code=code,
        line=lines[0],
        defines=definitions(code),
        right=right,
        exercise=about.get("exercise", ""),
        caught_by=_list(about.get("caught-by", "")),
        also_breaks=also,
        may_break=may,
        told=about.get("told"),
    )


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class EquivalentGeneric(_Model):
    """A generic change that leaves an answer right."""

    kind: str
    exercise: str
    function: str | None = None
    why: str


class EquivalentMutant(_Model):
    """A mutant that does the same as the solution."""

    exercise: str
    was: str
    now: str
    why: str


class _Equivalent(_Model):
    generic: tuple[EquivalentGeneric, ...] = ()
    mutants: tuple[EquivalentMutant, ...] = ()


class Declared(_Model):
    """What the author has judged: ``audit.yaml``."""

    equivalent: _Equivalent = _Equivalent()
    keep: dict[str, str] = {}
    """Checks that catch none of the wrong answers, and why they stay."""


def read_declared(assignment: Assignment) -> Declared:
    """The assignment's ``audit.yaml``; nothing declared when there is none. Raises CourseError."""
    path = assignment.solution_folder / "audit.yaml"
    if not path.exists():
        return Declared()
    document = read_yaml(path, f"{assignment.name}/audit.yaml")
    try:
        return Declared.model_validate(document.data)
    except ValidationError as error:
        first: Any = error.errors(include_url=False)[0]
        key = tuple(first["loc"])
        place = Place(file=f"{assignment.name}/audit.yaml", line=document.line(key), key=dotted(key))
        remedy = "docs/writing-an-assignment.md tells its keys"
        raise CourseError(str(first["msg"]), place=place, remedy=remedy) from error
