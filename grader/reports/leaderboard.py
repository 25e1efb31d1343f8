"""The class leaderboard: whose right answers are fastest, under names that students chose themselves.

For students, so nothing on it tells who is who: no student id, no name, no points. An alias is what a notebook assigns
to ``leaderboard_alias``, read without running it; whoever chose none, or somebody else's name, stands there unnamed.
Only answers that hold every race of the assignment are ranked, by the geometric mean of their ratios to the reference
(Fleming and Wallace, "How not to lie with statistics", CACM 1986): the one mean of ratios that does not depend on what
they are ratios to.
"""

from __future__ import annotations

import ast
import math
import statistics
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grader.model import Record, Verdict
from grader.notebook.names import tree
from grader.reports import text
from grader.reports.class_report import exercises_of
from grader.reports.pages import render

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ALIAS", "alias", "leaderboard"]

ALIAS = "leaderboard_alias"
_LONGEST = 32
"""Characters of an alias."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One line: those of equal time share a place."""

    place: int
    alias: str | None
    """None: unnamed."""
    ratios: tuple[str, ...]
    """By exercise, as text."""
    overall: str
    share: float
    """Of the slowest, between 0 and 1: the bar."""


def leaderboard(records: Sequence[Record], *, course_title: str, assignment_title: str) -> str:
    """The leaderboard of one assignment: one self-contained HTML page without script.

    Args:
        records: One a student (the latest marking), with cells. The same records in any order give the same page.
        course_title: As people read it.
        assignment_title: As people read it.
    """
    raced = {record.submission.student: _ratios(record) for record in records}
    ids = {exercise for ratios in raced.values() for exercise in ratios}
    exercises = tuple(exercise for exercise in exercises_of(records) if exercise.id in ids)
    complete = [record for record in records if ids and raced[record.submission.student].keys() == ids]
    aliases = _aliases(records)
    entries = []
    for record in complete:
        ratios = raced[record.submission.student]
        means = tuple(statistics.geometric_mean(ratios[exercise.id]) for exercise in exercises)
        overall = statistics.geometric_mean([each for ratio in ratios.values() for each in ratio])
        entries.append((_rounded(overall), aliases.get(record.submission.student), means))
    entries.sort(key=lambda entry: (entry[0], entry[1] is None, (entry[1] or "").casefold(), entry[2]))
    best = [entry[0] for entry in entries]
    rows = tuple(
        _Row(
            place=1 + best.index(overall),
            alias=name,
            ratios=tuple(_ratio(mean) for mean in means),
            overall=_ratio(overall),
            share=text.share(overall, best[-1]),
        )
        for overall, name, means in entries
    )
    return render(
        "leaderboard.html.j2",
        "base.css",
        "class_report.css",
        "leaderboard.css",
        course_title=course_title,
        assignment_title=assignment_title,
        exercises=exercises,
        rows=rows,
        others=len(records) - len(rows),
        alias_name=ALIAS,
    )


def alias(record: Record) -> str | None:
    """What the notebook last assigns to ``leaderboard_alias`` at the top level of a cell: a text, read, not run."""
    found = None
    for cell in record.cells:
        if cell.cell_type != "code" or ALIAS not in cell.source:
            continue
        module = tree(cell.source)
        for statement in module.body if module is not None else ():
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(chosen))) if name == ALIAS:
                    found = text.display_name(chosen, limit=_LONGEST)
    return None if found == text.display_name("") else found


def _aliases(records: Sequence[Record]) -> dict[str, str]:
    """By student; without those that would pass for somebody else, and with a number where two chose the same."""
    people: dict[str, set[str]] = {}
    for record in records:
        student = record.submission.student
        for known in (student, text.display_name(record.submission.name, student, limit=_LONGEST)):
            people.setdefault(known.casefold(), set()).add(student)
    chosen: dict[str, str] = {}
    seen: Counter[str] = Counter()
    for record in sorted(records, key=lambda each: each.submission.student):
        name = alias(record)
        if name is None or people.get(name.casefold(), set()) - {record.submission.student}:
            continue
        seen[name.casefold()] += 1
        again = seen[name.casefold()]
        chosen[record.submission.student] = name if again == 1 else f"{name} ({again})"
    return chosen


def _ratios(record: Record) -> dict[str, list[float]]:
    """The ratios of all races, by exercise; none unless each of them is held."""
    found: dict[str, list[float]] = {}
    timed = [result for result in record.checks if result.check.timed]
    if record.is_held or any(result.verdict is not Verdict.PASS for result in timed):
        return {}
    for result in timed:
        for each in result.measurements:
            if each.kind == "time" and math.isfinite(each.value) and each.value > 0:
                found.setdefault(result.check.exercise, []).append(each.value)
    return found


def _rounded(ratio: float) -> float:
    """Two digits: what the clock can tell apart, so that luck decides no place."""
    return float(f"{ratio:.2g}")


def _ratio(ratio: float) -> str:
    return f"{_rounded(ratio):g}×"
