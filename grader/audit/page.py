"""An audit as one self-contained HTML page: what to mend, variants × checks, survivors as diffs, check by check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from grader.model import Verdict
from grader.reports.pages import render

if TYPE_CHECKING:
    from grader.audit.findings import Report, Row

__all__ = ["audit_page"]

_MARKS = {Verdict.PASS: ("pass", "·", "passes"), Verdict.SKIPPED: ("skip", "", "waits for another check")}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    tone: str
    sign: str
    said: str


def audit_page(report: Report) -> str:
    """The whole page; it needs no script and nothing from elsewhere."""
    return render(
        "audit.html.j2",
        "base.css",
        "audit.css",
        report=report,
        matrix=[(row, [_mark(row, fact.spec.id) for fact in report.checks]) for row in report.rows],
        groups=[
            (exercise, sum(fact.spec.exercise == exercise for fact in report.checks)) for exercise in report.exercises
        ],
    )


def _mark(row: Row, check: str) -> _Mark:
    verdict = row.verdicts.get(check)
    if verdict is None:
        return _Mark(tone="none", sign="", said="not run")
    tone, sign, said = _MARKS.get(verdict, ("fail", "✘", f"fails ({verdict})"))
    return _Mark(tone=tone, sign=sign, said=said)
