"""Scoring: verdicts, rubric and lateness in; a score and every step that led to it out. Pure.

All sums are done in whole millionths of a point, from the exact decimal that each float prints as, so that ten
checks of 0.1 give 1 and the order of the checks cannot matter. Only the sum over one exercise is rounded (half up);
a penalty is rounded in the student's favour.

Whatever is *ours* holds the score: a BROKEN verdict, and also a set of results that does not fit the rubric (a check
missing, counted twice, or with points that are no number). A held score is None: never zero, never full.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import TYPE_CHECKING

from grader.model import CheckResult, ExerciseScore, ExerciseSpec, Flag, RecordStatus, ScoreStep, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from grader.model import SubmissionRef

__all__ = ["LateRule", "Lateness", "Scored", "late_flags", "score"]

_MICRO = 1_000_000
_DAY_S = 86_400
_MOST_POINTS = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Lateness:
    """When a submission came, when it was due, and what a day costs.

    The grace moves the deadline: until ``due + grace_s`` a submission is on time, and days are counted from there.
    Each day that has begun costs ``percent_per_day`` of the points that checks gave, 100 % at most. With ``max_days``
    set, a submission that comes on a later day than that earns nothing, and nothing of it waits for a person.
    Points that a person gives later are not reduced: whoever gives them knows that the work came late.

    Raises:
        ValueError: A time has no UTC offset, or a figure is negative or not finite.
    """

    received_at: datetime
    """When it was handed in; with an offset."""
    due: datetime
    """The deadline, extensions included; with an offset."""
    grace_s: float = 0.0
    percent_per_day: float = 0.0
    """0 to 100, of the points earned."""
    max_days: int | None = None
    """The last day on which work still counts; 0 means none after the deadline, None that there is no such day."""

    def __post_init__(self) -> None:
        if self.received_at.utcoffset() is None or self.due.utcoffset() is None:
            raise ValueError("lateness needs times with a UTC offset")
        if not (_is_points(self.grace_s) and _is_points(self.percent_per_day)) or (self.max_days or 0) < 0:
            raise ValueError("grace_s, percent_per_day and max_days must be finite and not negative")

    @property
    def days_late(self) -> int:
        """Days begun after the deadline and its grace; 0 when on time."""
        late = self.received_at - self.due
        seconds = Fraction(late.days * _DAY_S + late.seconds) + Fraction(late.microseconds, _MICRO)
        return max(0, math.ceil((seconds - _exact(self.grace_s)) / _DAY_S))

    @property
    def is_refused(self) -> bool:
        """Whether it came too late to count at all."""
        return self.max_days is not None and self.days_late > self.max_days

    @property
    def fraction(self) -> Fraction:
        """The part of the earned points that is taken away, from 0 to 1."""
        if self.is_refused:
            return Fraction(1)
        return min(Fraction(1), _exact(self.percent_per_day) * self.days_late / 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class LateRule:
    """When the work of an assignment is due, and what a day costs; as in ``Lateness``."""

    due: datetime
    extensions: Mapping[str, datetime]
    """By student, where somebody's work is due at another time."""
    grace_s: float = 0.0
    percent_per_day: float = 0.0
    max_days: int | None = None

    def of(self, ref: SubmissionRef) -> Lateness | None:
        """How late a submission is; None when nobody knows when it came."""
        if ref.received_at is None:
            return None
        return Lateness(
            received_at=datetime.fromisoformat(ref.received_at),
            due=self.extensions.get(ref.student, self.due),
            grace_s=self.grace_s,
            percent_per_day=self.percent_per_day,
            max_days=self.max_days,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """The score of one submission and how it came about."""

    score: float | None
    """Points by checks after lateness, between 0 and ``max_score``, or more with a bonus; None when held."""
    max_score: float
    exercises: tuple[ExerciseScore, ...]
    """In the order of the assignment. When the score is held, ``earned`` counts what is known to have passed."""
    steps: tuple[ScoreStep, ...]
    """Add up to ``score``; when it is held, they say why."""
    status: RecordStatus


def score(results: Sequence[CheckResult], exercises: Sequence[ExerciseSpec], *, lateness: Lateness | None) -> Scored:
    """Add up what a submission earned.

    A check earns its points only with the verdict PASS (a ramp may give it fewer than all of them).

    Args:
        results: One result for each check of the assignment, in any order.
        exercises: The rubric; its order is kept.
        lateness: None when there is no deadline or nobody knows when the submission came.
    """
    refused = lateness is not None and lateness.is_refused
    earned = {exercise.id: _earned(results, exercise.id) for exercise in exercises}
    scores = tuple(
        ExerciseScore(
            exercise=exercise,
            earned=earned[exercise.id] / _MICRO,
            pending=0.0 if refused or not _is_points(exercise.manual_points) else exercise.manual_points,
        )
        for exercise in exercises
    )
    regular = [exercise.points for exercise in exercises if _is_points(exercise.points) and not exercise.bonus]
    max_score = _micro(map(_exact, regular)) / _MICRO

    if reasons := _ours(results, exercises):
        steps = tuple(ScoreStep(text=reason, points=0.0) for reason in reasons)
        return Scored(score=None, max_score=max_score, exercises=scores, steps=steps, status=RecordStatus.HELD)

    steps = tuple(step for item in scores for step in _exercise_steps(item, results))
    total = sum(earned.values())
    if lateness is not None and lateness.days_late:
        penalty = math.floor(total * lateness.fraction)
        steps += (ScoreStep(text=_late_sentence(lateness), points=-penalty / _MICRO),)
        total -= penalty
    return Scored(score=total / _MICRO, max_score=max_score, exercises=scores, steps=steps, status=RecordStatus.FINAL)


def late_flags(lateness: Lateness | None) -> tuple[Flag, ...]:
    """The flag of a late submission, if it is one."""
    if lateness is None or not lateness.days_late:
        return ()
    return (Flag(id="late", text=f"Handed in late: {lateness.days_late} day(s) after the deadline."),)


@functools.lru_cache(maxsize=1024)
def _exact(value: float) -> Fraction:
    """The number that ``value`` prints as: 0.1 is one tenth."""
    return Fraction(repr(float(value)))


def _micro(points: Iterable[Fraction]) -> int:
    """The sum in millionths of a point, halves up."""
    return math.floor(sum(points, Fraction(0)) * _MICRO + Fraction(1, 2))


def _is_points(value: float) -> bool:
    return math.isfinite(value) and 0 <= value <= _MOST_POINTS


def _earned(results: Sequence[CheckResult], exercise: str) -> int:
    """Millionths of a point that the checks of one exercise give."""
    return _micro(
        _exact(min(max(result.earned, 0.0), result.check.points))
        for result in results
        if result.check.exercise == exercise
        and result.verdict is Verdict.PASS
        and math.isfinite(result.earned)
        and _is_points(result.check.points)
    )


def _ours(results: Sequence[CheckResult], exercises: Sequence[ExerciseSpec]) -> list[str]:
    """Why there can be no score, a sentence each; empty when there can be one."""
    reasons = [
        f"The check “{result.check.line}” could not be carried out. That is not your fault; an instructor will look."
        for result in sorted(results, key=lambda result: result.check.id)
        if result.verdict.is_ours
    ]
    known = {exercise.id for exercise in exercises}
    counts = Counter(result.check.id for result in results)
    reasons += [
        f"The check {check_id} was counted {counts[check_id]} times; an instructor will look."
        for check_id in sorted(counts)
        if counts[check_id] > 1
    ]
    for result in sorted(results, key=lambda result: result.check.id):
        check = result.check
        if check.exercise not in known:
            reasons.append(f"The check {check.id} belongs to no exercise of the rubric; an instructor will look.")
        if not _is_points(check.points) or not math.isfinite(result.earned):
            reasons.append(f"The points of the check {check.id} are no number; an instructor will look.")
    if reasons:
        return reasons
    for exercise in exercises:
        if not (_is_points(exercise.points) and _is_points(exercise.manual_points)):
            reasons.append(f"The points of “{exercise.title}” are no number; an instructor will look.")
            continue
        found = _micro(_exact(result.check.points) for result in results if result.check.exercise == exercise.id)
        due = _micro((_exact(exercise.points), -_exact(exercise.manual_points)))
        if abs(found - due) > 1:
            reasons.append(
                f"The checks of “{exercise.title}” that were carried out are worth {_number(found / _MICRO)} points, "
                f"not {_number(due / _MICRO)}; an instructor will look."
            )
    return reasons


def _exercise_steps(item: ExerciseScore, results: Sequence[CheckResult]) -> Iterable[ScoreStep]:
    exercise = item.exercise
    checks = [result for result in results if result.check.exercise == exercise.id]
    if checks:
        passed = sum(result.verdict is Verdict.PASS for result in checks)
        by_checks = _micro((_exact(exercise.points), -_exact(exercise.manual_points))) / _MICRO
        noun = "check" if len(checks) == 1 else "checks"
        yield ScoreStep(
            text=f"{exercise.title}{' (bonus)' if exercise.bonus else ''}: {passed} of {len(checks)} {noun} passed, "
            f"{_number(item.earned)} of {_number(by_checks)} points",
            points=item.earned,
        )
    if item.pending:
        noun = "point" if item.pending == 1 else "points"
        yield ScoreStep(
            text=f"{exercise.title}: {_number(item.pending)} {noun} will be given by a person, not counted yet",
            points=0.0,
        )


def _late_sentence(lateness: Lateness) -> str:
    days = lateness.days_late
    late = f"Handed in {days} {'day' if days == 1 else 'days'} late (due {lateness.due:%Y-%m-%d %H:%M %Z})"
    if lateness.is_refused:
        last = lateness.max_days
        limit = "after the deadline" if not last else f"more than {last} {'day' if last == 1 else 'days'} late"
        return f"{late}: work that comes {limit} earns no points"
    each = _number(lateness.percent_per_day)
    if lateness.fraction == 1 and days:
        return f"{late}: {each} % of the points for each day begun, all of them by now"
    return f"{late}: {each} % of the points for each day begun"


def _number(value: float) -> str:
    """``3``, ``2.5``, ``0.333333``: as people write it."""
    return f"{value:.6f}".rstrip("0").rstrip(".")
