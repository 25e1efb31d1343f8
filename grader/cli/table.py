"""The class in the terminal: student, points by exercise, flags; narrow windows get shorter heads and fewer columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from grader.cli.options import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grader.model import ExerciseScore, Record

__all__ = ["class_table"]

GAP = 2
STUDENT = 18
"""Columns that a student's id takes at the most."""
FLAGS = 13
"""Columns below which flags are not shown."""


def class_table(records: Sequence[Record], width: int) -> Table:
    """One row a student.

    Where the exercises' names do not fit, they are numbered and told below the table; where the numbers do not fit
    either, only the points in all are shown.

    Args:
        records: one a student.
        width: columns of the terminal.
    """
    exercises = [score.exercise for score in records[0].exercises] if records else []
    totals = [f"{record.score:g}" if record.score is not None else "held" for record in records]
    earned = [[_points(score) for score in record.exercises] for record in records]
    names = [exercise.id for exercise in exercises]
    numbers = [str(number) for number in range(1, len(names) + 1)]
    most = [f"{'+' if exercise.bonus else '/'}{exercise.points:g}" for exercise in exercises]
    flags = any(record.flags for record in records)
    taken = max([7, *(min(STUDENT, len(record.submission.student)) for record in records)])
    taken += GAP + max(map(len, ["points", *totals]), default=6)
    left = width - taken - (GAP + FLAGS if flags else 0)
    heads = next((heads for heads in (names, numbers) if _wide([heads, most, *earned]) <= left), None)
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold", show_edge=False)
    table.add_column("student", no_wrap=True, overflow="ellipsis", max_width=STUDENT)
    highest = {record.max_score for record in records}
    worth = f"\n[dim]/{highest.pop():g}[/]" if len(highest) == 1 else ""
    table.add_column(f"points{worth}", justify="right", no_wrap=True)
    for head, points in zip(heads or (), most, strict=bool(heads)):
        table.add_column(f"{head}\n[dim]{points}[/]", justify="right", no_wrap=True)
    with_flags = flags and width - taken >= GAP + FLAGS
    if with_flags:
        table.add_column("flags", overflow="fold")
    for record, total, each in zip(records, totals, earned, strict=True):
        row: list[Text | str] = [Text.from_markup(plain(record.submission.student, 40)), total]
        row += [Text(points, style="dim" if points in ("0", "?") else "") for points in (each if heads else ())]
        if with_flags:
            row.append(Text(", ".join(dict.fromkeys(flag.id for flag in record.flags)), style="yellow"))
        table.add_row(*row, style="reverse" if record.is_held else "")
    if heads is numbers:
        table.caption = Text(", ".join(f"{n} {name}" for n, name in zip(numbers, names, strict=True)), style="dim")
        table.caption_justify = "left"
    return table


def _points(score: ExerciseScore) -> str:
    """What an exercise earned; ``?`` for what a person has yet to give."""
    if score.pending:
        return f"{score.earned:g}+?" if score.earned else "?"
    return f"{score.earned:g}"


def _wide(rows: Sequence[Sequence[str]]) -> int:
    """Columns that these cells take beside what stands left of them."""
    return sum(GAP + max(map(len, column)) for column in zip(*rows, strict=True))
