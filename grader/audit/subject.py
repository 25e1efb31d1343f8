"""An assignment as an audit sees it: its cells, who defines what, who calls whom, and notebooks made of them."""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grader.audit.mutants import Mutant, mutants
from grader.audit.variants import Declared, Variant, read_declared, read_variants
from grader.notebook import definitions
from grader.release import read_solution

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from grader.config import Assignment, Course
    from grader.notebook import Cell

__all__ = ["Subject"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is audited."""

    course: Course
    assignment: Assignment
    cells: tuple[Cell, ...]
    """The solution notebook."""
    variants: tuple[Variant, ...]
    declared: Declared
    names: Mapping[str, tuple[str, ...]]
    """Exercise to the names that its code cells define."""
    uses: Mapping[str, frozenset[str]]
    """Name to the names that its definition mentions."""

    @classmethod
    def of(cls, course: Course, assignment: Assignment) -> Subject:
        """Read everything. Raises CourseError for what cannot be read."""
        cells = read_solution(course, assignment).cells
        exercises = [exercise.id for exercise in assignment.exercises]
        names: dict[str, tuple[str, ...]] = dict.fromkeys(exercises, ())
        uses: dict[str, frozenset[str]] = {}
        for cell in cells:
            if cell.cell_type != "code" or cell.skip is not None:
                continue
            if cell.exercise in names:
                names[cell.exercise] += definitions(cell.source)
            for statement in ast.parse(cell.source).body:
                mentioned = frozenset(node.id for node in ast.walk(statement) if isinstance(node, ast.Name))
                for name in definitions(ast.unparse(statement)):
                    uses[name] = uses.get(name, frozenset()) | (mentioned - {name})
        return cls(
            course=course,
            assignment=assignment,
            cells=cells,
            variants=tuple(read_variants(assignment, exercises)),
            declared=read_declared(assignment),
            names=names,
            uses=uses,
        )

    @property
    def exercises(self) -> tuple[str, ...]:
        """Ids of the exercises that checks mark."""
        return tuple(each.id for each in self.assignment.exercises if each.points > each.manual_points)

    def reached_by(self, names: Iterable[str]) -> frozenset[str]:
        """The exercises whose solutions are, or call, directly or not, one of these names."""
        reached = set(names)
        while more := {name for name, mentioned in self.uses.items() if mentioned & reached} - reached:
            reached |= more
        return frozenset(each for each in self.exercises if reached & set(self.names[each]))

    def mutants(self) -> list[Mutant]:
        """All mutants of the exercises' own code."""
        return [
            mutant
            for cell in self.cells
            if cell.cell_type == "code" and cell.exercise in self.exercises
            for mutant in mutants(cell.source, exercise=str(cell.exercise), cell=cell.index)
        ]

    def handed_in(self, variant: Variant) -> bytes:
        """A notebook as a student would hand the variant in: in the place of the solution, or right below it."""
        code = variant.code
        docstring = ast.parse(code).body[0]
        code = "\n".join(code.split("\n")[docstring.end_lineno :]).strip()
        own = [cell for cell in self.cells if cell.cell_type == "code" and cell.exercise is not None]
        touched = [cell for cell in own if set(definitions(cell.source)) & set(variant.defines)]
        if not touched:
            return self.notebook(added=code)
        last = touched[-1]
        alone = len(touched) == 1 and set(definitions(last.source)) <= set(variant.defines)
        return self.notebook(replaced={last.index: code if alone else f"{last.source}\n\n\n{code}"})

    def starter(self) -> bytes:
        """The notebook as it is released."""
        return self.assignment.notebook_path.read_bytes()

    def notebook(self, added: str | None = None, replaced: Mapping[int, str] | None = None) -> bytes:
        """The solution notebook, with cells replaced by index, and code in a last cell."""
        cells: list[dict[str, Any]] = []
        for cell in self.cells:
            source = (replaced or {}).get(cell.index, cell.source)
            cells.append(_cell(len(cells), cell.cell_type, source, dict(cell.metadata)))
        if added is not None:
            cells.append(_cell(len(cells), "code", added, {}))
        whole = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        return json.dumps(whole).encode()


def _cell(number: int, kind: str, source: str, metadata: dict[str, Any]) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{number}", "metadata": metadata, "source": source}
    if kind == "code":
        cell |= {"execution_count": None, "outputs": []}
    return cell
