"""Match a submitted notebook with the released one, so that every exercise's cells are known whatever tools did to it.

Colab and VS Code drop cell metadata; students delete, duplicate, split, merge and reorder cells. Cells are matched by
nbgrader's id, then by cell id, then by equal content, by the names that an exercise defines, by similar text, and last
by their place between matched neighbours. No source is changed and no cell is removed: repair says which exercise a
cell answers, which cells are public checks or plots (not run when marking), and what it noticed.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from grader.model import Flag
from grader.notebook.names import bindings, definitions, functions, tree, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from grader.notebook.cells import Cell, Notebook

__all__ = ["exercise_names", "repair"]

_MAX_FUZZY_CELLS = 150
_MAX_FUZZY_TEXT = 2_000
_SIMILAR = 80.0
"""Percent of equal text from which a cell without names of its own is taken for an edited one of ours."""


def exercise_names(released: Notebook) -> dict[str, tuple[str, ...]]:
    """The functions and classes that each exercise asks for, from the released exercise cells, in their order."""
    found: dict[str, tuple[str, ...]] = {}
    for cell in released.cells:
        if cell.exercise is not None and cell.skip is None:
            names = functions(cell.source) if cell.cell_type == "code" else ()
            found[cell.exercise] = (*found.get(cell.exercise, ()), *names)
    return found


def repair(notebook: Notebook, released: Notebook) -> Notebook:
    """The notebook with exercises, skipped cells and nbgrader metadata as the released notebook has them.

    ``repairs`` of the result adds to the notebook's own: ``repaired`` (metadata was lost or copied), ``redefined``,
    ``missing-exercise``, ``edited-check``.
    """
    names = exercise_names(released)
    matching = _match(notebook, released, names)
    answers = _exercises(notebook, matching, names)
    skips = _skips(notebook, matching, names)
    cells = tuple(
        _mended(cell, matching.links.get(cell.index), answers.get(cell.index), skips.get(cell.index), matching)
        for cell in notebook.cells
    )
    flags = (
        *_lost(matching, released),
        *_redefined(cells, names),
        *_missing(cells, names),
        *_edited(notebook, matching),
    )
    return replace(notebook, cells=cells, repairs=(*notebook.repairs, *flags))


@dataclass(slots=True, kw_only=True)
class _Matching:
    """Which released cell each submitted cell comes from."""

    links: dict[int, Cell]
    """Submitted index -> released cell; several submitted cells may come from one."""
    first: dict[int, int]
    """Released index -> the first submitted cell that comes from it."""
    recognised: set[int]
    """Released indices that were found by content, not by an id."""

    def link(self, cell: Cell, origin: Cell, *, by_content: bool) -> None:
        self.links[cell.index] = origin
        if origin.index not in self.first:
            self.first[origin.index] = cell.index
            if by_content:
                self.recognised.add(origin.index)


def _match(notebook: Notebook, released: Notebook, names: Mapping[str, tuple[str, ...]]) -> _Matching:
    matching = _Matching(links={}, first={}, recognised=set())
    _by_id(notebook, released, matching)
    _by_content(notebook, released, matching)
    _by_names(notebook, released, names, matching)
    _by_likeness(notebook, released, matching)
    _by_place(notebook, released, matching)
    return matching


def _by_id(notebook: Notebook, released: Notebook, matching: _Matching) -> None:
    by_grade_id = {cell.grade_id: cell for cell in released.cells if cell.grade_id}
    by_cell_id = {cell.id: cell for cell in released.cells if cell.id}
    for cell in notebook.cells:
        origin = by_grade_id.get(cell.grade_id) if cell.grade_id else None
        if origin is not None and origin.cell_type == cell.cell_type:
            matching.link(cell, origin, by_content=False)
    for cell in _free(notebook, matching):
        origin = by_cell_id.get(cell.id) if cell.id else None
        if origin is not None and origin.cell_type == cell.cell_type and origin.index not in matching.first:
            matching.link(cell, origin, by_content=origin.grade_id is not None)


def _by_content(notebook: Notebook, released: Notebook, matching: _Matching) -> None:
    waiting: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    for origin in released.cells:
        if origin.index not in matching.first:
            waiting[origin.cell_type, _plain(origin.source)].append(origin)
    seen: dict[tuple[str, str], Cell] = {}
    for cell in _free(notebook, matching):
        key = (cell.cell_type, _plain(cell.source))
        if waiting.get(key):
            seen[key] = waiting[key].pop(0)
            matching.link(cell, seen[key], by_content=True)
        elif key in seen and key[1]:
            matching.link(cell, seen[key], by_content=True)  # a copy


def _by_names(
    notebook: Notebook, released: Notebook, names: Mapping[str, tuple[str, ...]], matching: _Matching
) -> None:
    owners = {name: exercise for exercise, own in names.items() for name in own}
    origins = {
        name: cell
        for cell in released.cells
        if cell.exercise is not None and cell.cell_type == "code" and cell.skip is None
        for name in functions(cell.source)
    }
    mention = _any_of(owners)
    for cell in _free(notebook, matching):
        if cell.cell_type != "code" or not mention.search(cell.source):
            continue
        origin = next((origins[name] for name in definitions(cell.source) if name in origins), None)
        if origin is not None and origin.index not in matching.first:
            matching.link(cell, origin, by_content=True)


def _by_likeness(notebook: Notebook, released: Notebook, matching: _Matching) -> None:
    from rapidfuzz import fuzz

    free = _free(notebook, matching)[:_MAX_FUZZY_CELLS]
    for origin in released.cells:
        text = _plain(origin.source)[:_MAX_FUZZY_TEXT]
        if origin.index in matching.first or len(text) < 10:
            continue
        best, score = None, _SIMILAR
        for cell in free:
            if cell.cell_type == origin.cell_type and cell.index not in matching.links:
                found = fuzz.ratio(text, _plain(cell.source)[:_MAX_FUZZY_TEXT], score_cutoff=score)
                best, score = (cell, found) if found >= score and found else (best, score)
        if best is not None:
            matching.link(best, origin, by_content=True)


def _by_place(notebook: Notebook, released: Notebook, matching: _Matching) -> None:
    """An answer that a student wrote from nothing still stands right behind its question."""
    for origin in released.cells[1:]:
        if origin.index in matching.first or origin.exercise is None:
            continue
        before = matching.first.get(origin.index - 1)
        if before is None or before + 1 >= len(notebook.cells):
            continue
        cell = notebook.cells[before + 1]
        if cell.index not in matching.links and cell.cell_type == origin.cell_type:
            matching.link(cell, origin, by_content=True)


def _exercises(notebook: Notebook, matching: _Matching, names: Mapping[str, tuple[str, ...]]) -> dict[int, str]:
    """The exercise that each cell answers: by the names that it defines, else by where it comes from."""
    owners = {name: exercise for exercise, own in names.items() for name in own}
    mention = _any_of(owners)
    found: dict[int, str] = {}
    for cell in notebook.cells:
        origin = matching.links.get(cell.index)
        given = origin.exercise if origin is not None else None
        if given is None and cell.exercise in names and origin is None:
            given = cell.exercise
        if cell.cell_type == "code" and mention.search(cell.source):
            own = [owners[name] for name in definitions(cell.source) if name in owners]
            if own and given not in own:
                given = own[0]
        if given is not None:
            found[cell.index] = given
    return found


def _skips(notebook: Notebook, matching: _Matching, names: Mapping[str, tuple[str, ...]]) -> dict[int, str]:
    """Why a cell is not run: it is one of our checks or plots and nothing else depends on what it defines."""
    candidates: dict[int, str] = {}
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        origin = matching.links.get(cell.index)
        reason = origin.skip if origin is not None else cell.skip
        if reason is None and origin is None and _only_checks(cell.source):
            reason = "check"
        if reason is not None:
            candidates[cell.index] = reason
    needed = {name for own in names.values() for name in own}
    altered = [
        cell
        for cell in notebook.cells
        if cell.index in candidates
        and ((origin := matching.links.get(cell.index)) is None or _plain(origin.source) != _plain(cell.source))
    ]
    if altered:
        for cell in notebook.cells:
            if cell.cell_type == "code" and cell.index not in candidates:
                needed |= words(cell.source)
    for cell in altered:
        origin = matching.links.get(cell.index)
        added = bindings(cell.source) - (bindings(origin.source) if origin is not None else frozenset())
        if added & needed - {"check", "grader"}:
            del candidates[cell.index]
    return candidates


def _only_checks(source: str) -> bool:
    """Whether a cell does nothing but call ``check`` of ``grader.student``."""
    if "check" not in source or (module := tree(source)) is None or not module.body:
        return False
    calls = 0
    for statement in module.body:
        if isinstance(statement, ast.ImportFrom | ast.Import):
            module_names = (
                [statement.module or ""] if isinstance(statement, ast.ImportFrom) else [a.name for a in statement.names]
            )
            if any(not name.startswith("grader") for name in module_names):
                return False
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            function = statement.value.func
            name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
            if name != "check":
                return False
            calls += 1
        elif not isinstance(statement, ast.Pass):
            return False
    return calls > 0


def _mended(cell: Cell, origin: Cell | None, exercise: str | None, skip: str | None, matching: _Matching) -> Cell:
    """The cell with what was found; nbgrader's metadata only as released, and only once."""
    metadata = {key: value for key, value in cell.metadata.items() if key not in ("nbgrader", "exercise")}
    if origin is not None and matching.first[origin.index] == cell.index and "nbgrader" in origin.metadata:
        metadata["nbgrader"] = origin.metadata["nbgrader"]
    if exercise is not None:
        metadata["exercise"] = exercise
    return replace(cell, metadata=metadata, exercise=exercise, skip=skip)


def _lost(matching: _Matching, released: Notebook) -> Iterable[Flag]:
    ours = [cell for cell in released.cells if cell.grade_id is not None]
    lost = [cell for cell in ours if cell.index in matching.recognised]
    if lost:
        yield Flag(
            id="repaired",
            text=f"{len(lost)} of {len(ours)} exercise and check cells had lost their metadata (Colab and VS Code do "
            "that); they were recognised by their content.",
        )
    copies: dict[int, list[int]] = defaultdict(list)
    for index, origin in matching.links.items():
        if origin.exercise is not None and origin.skip is None:
            copies[origin.index].append(index)
    for origin in ours:
        found = sorted(copies.get(origin.index, ()))
        if len(found) > 1:
            yield Flag(
                id="repaired",
                text=f"Cells {_list(found)} all come from the exercise cell {origin.grade_id}; they were run in order.",
            )


def _redefined(cells: tuple[Cell, ...], names: Mapping[str, tuple[str, ...]]) -> Iterable[Flag]:
    places: dict[str, list[int]] = defaultdict(list)
    wanted = {name for own in names.values() for name in own}
    mention = _any_of(wanted)
    for cell in cells:
        if cell.cell_type == "code" and cell.skip is None and mention.search(cell.source):
            for name in definitions(cell.source):
                if name in wanted:
                    places[name].append(cell.index)
    for name, found in places.items():
        if len(found) > 1:
            yield Flag(
                id="redefined", text=f"{name} is defined more than once, in cells {_list(found)}; the last one counts."
            )


def _missing(cells: tuple[Cell, ...], names: Mapping[str, tuple[str, ...]]) -> Iterable[Flag]:
    found = {cell.exercise for cell in cells}
    mention = _any_of(name for exercise, own in names.items() if exercise not in found for name in own)
    defined = {
        name for cell in cells if cell.skip is None and mention.search(cell.source) for name in definitions(cell.source)
    }
    for exercise, own in names.items():
        if exercise not in found and defined.isdisjoint(own):
            wanted = f" ({', '.join(own)})" if own else ""
            yield Flag(id="missing-exercise", text=f"The notebook has no cell for the exercise {exercise}{wanted}.")


def _edited(notebook: Notebook, matching: _Matching) -> Iterable[Flag]:
    for cell in notebook.cells:
        origin = matching.links.get(cell.index)
        if origin is not None and origin.skip == "check" and _plain(origin.source) != _plain(cell.source):
            yield Flag(
                id="edited-check",
                text=f"Cell {cell.index + 1}, a public check, was changed; the original checks were used for marking.",
            )


def _free(notebook: Notebook, matching: _Matching) -> list[Cell]:
    return [cell for cell in notebook.cells if cell.index not in matching.links]


def _any_of(names: Iterable[str]) -> re.Pattern[str]:
    choices = "|".join(re.escape(name) for name in names)
    return re.compile(rf"\b(?:{choices})\b" if choices else r"(?!)")


def _plain(source: str) -> str:
    return "\n".join(line.rstrip() for line in source.strip().split("\n"))


def _list(indices: list[int]) -> str:
    shown = [str(index + 1) for index in indices[:8]]
    more = f" and {len(indices) - 8} more" if len(indices) > 8 else ""
    return (", ".join(shown) if more else f"{', '.join(shown[:-1])} and {shown[-1]}") + more
