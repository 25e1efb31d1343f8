"""A notebook as frozen data: its cells and what was noticed while reading it."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - dataclass fields are looked up at run time
from dataclasses import dataclass, field
from typing import Any

from grader.model import Flag  # noqa: TC001 - the same

__all__ = ["Cell", "NotANotebook", "Notebook"]


class NotANotebook(Exception):
    """The submitted bytes hold no notebook; ``str`` of it is a sentence for the student."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of a notebook."""

    index: int
    """Zero-based position in the notebook."""
    cell_type: str
    """``code``, ``markdown`` or ``raw``."""
    source: str
    """Valid Unicode without null bytes; lines end with ``\\n``."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Plain JSON values, bounded in size and depth."""
    id: str | None = None
    """The cell id of nbformat 4.5 (or Colab's), when there is one."""
    tags: tuple[str, ...] = ()
    exercise: str | None = None
    """Id of the exercise that this cell answers, when known."""
    skip: str | None = None
    """Why it is not run when marking: ``check`` (public checks) or ``see`` (plots); None: it is run."""

    @property
    def grade_id(self) -> str | None:
        """The id that nbgrader knows the cell by."""
        nbgrader = self.metadata.get("nbgrader")
        name = nbgrader.get("grade_id") if isinstance(nbgrader, dict) else None
        return name if isinstance(name, str) and name else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notebook:
    """A notebook, read and possibly repaired."""

    cells: tuple[Cell, ...]
    language: str = "python"
    """Lower-case name of the kernel's language; ``python`` when the file doesn't say."""
    repairs: tuple[Flag, ...] = ()
    """What had to be mended or was noticed; a flag alone never takes a point."""

    @property
    def code(self) -> tuple[Cell, ...]:
        """The cells that are run when marking, in order."""
        return tuple(cell for cell in self.cells if cell.cell_type == "code" and cell.skip is None)
