"""Notebooks: bytes -> cells, repaired against the released notebook. Nothing here executes a student's code."""

from __future__ import annotations

from grader.notebook.cells import Cell, NotANotebook, Notebook
from grader.notebook.executed import executed, to_json
from grader.notebook.forbidden import forbidden_uses
from grader.notebook.names import definitions
from grader.notebook.read import MAX_BYTES, MAX_CELLS, read
from grader.notebook.repair import exercise_names, repair

__all__ = [
    "MAX_BYTES",
    "MAX_CELLS",
    "Cell",
    "NotANotebook",
    "Notebook",
    "definitions",
    "executed",
    "exercise_names",
    "forbidden_uses",
    "read",
    "repair",
    "to_json",
]
