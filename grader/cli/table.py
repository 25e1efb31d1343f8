"""The class in the terminal: student, points by exercise, flags; narrow windows get fewer columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from grader.cli.options import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grader.model import Record

__all__ = ["class_table"]

WIDE = 12
"""Columns that an exercise takes at the most."""


def class_table(records: Sequence[Record], width: int) -> Table:
    """One row a student.

    Args:
        records: one a student.
        width: columns of the terminal.
    """
    exercises = [score.exercise for score in records[0].exercises] if records else []
    fits = width >= 40 + 6 * len(exercises)
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    table.add_column("student", no_wrap=True, overflow="ellipsis", max_width=18)
    table.add_column("points", justify="right", no_wrap=True)
    for exercise in exercises if fits else ():
        table.add_column(f"{_short(exercise.id)}\n[dim]/{exercise.points:g}[/]", justify="right", no_wrap=True)
    table.add_column("flags", overflow="fold")
    for record in records:
        total = f"{record.score:g}" if record.score is not None else "held"
        row: list[Text | str] = [
            Text.from_markup(plain(record.submission.student, 40)),
            f"{total} / {record.max_score:g}",
        ]
        scores = record.exercises if fits else ()
        row += [Text(f"{score.earned:g}", style="" if score.earned else "dim") for score in scores]
        row.append(Text(", ".join(dict.fromkeys(flag.id for flag in record.flags)), style="yellow"))
        table.add_row(*row, style="reverse" if record.is_held else "")
    return table


def _short(name: str) -> str:
    """An exercise's id in few columns: ``cross_entropy`` → ``cross_ent``."""
    return name if len(name) <= 9 else name[:9]
