"""Marking again: which checks, what becomes of the record, what is remembered. Pure.

A record is never changed. Marking some checks of a submission again gives a new record: the fresh verdicts among those
that are kept, added up anew, with a ``Revision`` that says when, why and what changed. Cells, flags and timing stay
those of the marking in which all of it ran.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from grader.model import Change, Revision, Verdict
from grader.scoring import LateRule, late_flags, score

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from grader.config import Assignment
    from grader.model import CheckResult, Record

__all__ = ["changes", "late_rule", "merged", "now", "rescored", "revised", "with_dependents"]


def with_dependents(checks: Collection[str], results: Sequence[CheckResult]) -> frozenset[str]:
    """``checks`` and whatever waits for one of them, as far as the chain goes."""
    found = set(checks)
    for _ in results:
        more = {each.check.id for each in results if found.intersection(each.check.depends)} - found
        if not more:
            break
        found |= more
    return frozenset(found)


def merged(before: Record, fresh: Record, only: Collection[str], assignment: Assignment) -> Record | None:
    """``before`` with the verdicts of ``only`` from ``fresh``, added up anew.

    A check whose gate was kept and does not hold is skipped, whatever it gave this time. None when the two do not fit:
    a check became a gate or ceased to be one, so that others depend on other checks now.
    """
    found = {result.check.id: replace(result, seed=fresh.seed) for result in fresh.checks if result.check.id in only}
    results: dict[str, CheckResult] = {}
    for old in before.checks:
        result = found.get(old.check.id, old)
        if result.check.gate != old.check.gate:
            return None
        waits = next((results[d] for d in result.check.depends if d in results and not _holds(results[d])), None)
        if waits is not None and result is not old:
            text = f"Waits for another check that does not pass yet: “{waits.check.line}”"
            result = replace(result, verdict=Verdict.SKIPPED, earned=0.0, kind="dependency", rationale=text)
        results[old.check.id] = result
    broke = any(result.verdict is Verdict.BROKEN for result in results.values())
    both = dict.fromkeys(flag for flag in (*before.flags, *fresh.flags) if flag.id != "held" or broke)
    again = replace(
        before,
        checks=tuple(results.values()),
        flags=tuple(both),
        sandbox=fresh.sandbox,
        limits=fresh.limits,
        hardware=fresh.hardware,
        marked_at=fresh.marked_at,
        reason=fresh.reason,
    )
    return rescored(again, assignment)


def rescored(record: Record, assignment: Assignment) -> Record:
    """A record added up by the assignment's rubric and due date as they are now."""
    rule = late_rule(assignment)
    late = None if rule is None else rule.of(record.submission)
    scored = score(record.checks, assignment.specs, lateness=late)
    flags = (*(flag for flag in record.flags if flag.id != "late"), *late_flags(late))
    return replace(
        record,
        status=scored.status,
        score=scored.score,
        max_score=scored.max_score,
        exercises=scored.exercises,
        steps=scored.steps,
        flags=flags,
    )


def late_rule(assignment: Assignment) -> LateRule | None:
    """What a late submission costs; None where nothing is due, or being late costs nothing."""
    late = assignment.late
    if assignment.due is None or late is None:
        return None
    return LateRule(
        due=assignment.due,
        extensions=assignment.extensions,
        grace_s=late.grace_s,
        percent_per_day=late.percent_per_day,
        max_days=late.max_days,
    )


def revised(before: Record | None, after: Record) -> Record:
    """``after`` with the history of the same submitted bytes, itself included where it changed the mark."""
    if before is None or before.submission.sha256 != after.submission.sha256:
        return replace(after, revisions=())
    found = changes(before, after)
    if not found and before.score == after.score:
        return replace(after, revisions=before.revisions)
    revision = Revision(
        at=after.marked_at,
        reason=after.reason,
        score_before=before.score,
        score_after=after.score,
        changes=found,
    )
    return replace(after, revisions=(*before.revisions, revision))


def changes(before: Record, after: Record) -> tuple[Change, ...]:
    """The checks on which two records of one submission differ, in the order of the later one."""
    old = {result.check.id: result for result in before.checks}
    new = {result.check.id: result for result in after.checks}
    return tuple(
        Change(
            check=name,
            before=old[name].verdict if name in old else None,
            after=new[name].verdict if name in new else None,
            earned_before=old[name].earned if name in old else 0.0,
            earned_after=new[name].earned if name in new else 0.0,
        )
        for name in dict.fromkeys((*new, *old))
        if name not in old
        or name not in new
        or (old[name].verdict, old[name].earned) != (new[name].verdict, new[name].earned)
    )


def now() -> str:
    """The time for ``marked_at``."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _holds(result: CheckResult) -> bool:
    return result.verdict is Verdict.PASS
