"""The report on a class: how the marks lie, what each check caught, and who needs a look.

For instructors. Names, flags and messages are still students' text and are treated as such; the evidence on the
records stays on the records.
"""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from grader.model import CheckResult, CheckSpec, ExerciseSpec, Record, Verdict
from grader.reports import text
from grader.reports.pages import render
from grader.reports.plots import ExerciseShares, exercise_plot, score_histogram
from grader.reports.verdicts import WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from markupsafe import Markup

__all__ = ["class_report", "exercises_of"]

_SLOWEST = 10
_NAMED = 40
"""Submissions named in one list; the table at the end has them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Student:
    """One row of the table."""

    name: str
    id: str | None
    """None when the name says it already."""
    href: str | None
    held: bool
    score: float | None
    earned: tuple[str, ...]
    """By exercise, as text; a dash where the record has none."""
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Numbers:
    """The class in numbers; points."""

    marked: int
    mean: float
    median: float
    lower: float
    """First quartile."""
    upper: float
    """Third quartile."""
    spread: float
    """Standard deviation."""
    full: int
    """Submissions with all points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _CheckRow:
    """One check over the class."""

    check: CheckSpec
    passed: int
    ran: int
    """Submissions with this check, without those where it broke."""
    parts: tuple[tuple[str, int, float, float], ...]
    """Tone, count, start and width in percent: the bar."""
    breakdown: str
    common: str | None
    """What most of those who did not pass were told."""
    common_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _CheckGroup:
    """The checks of one exercise."""

    title: str
    rows: tuple[_CheckRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attention:
    """Submissions that share a reason to be looked at."""

    title: str
    tone: str
    count: int
    named: tuple[tuple[_Student, str], ...]
    """Student and reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slow:
    """One of the slowest submissions."""

    student: _Student
    total_s: float
    cells_s: float
    checks_s: float
    peak_mib: int


def class_report(
    records: Sequence[Record],
    *,
    course_title: str,
    assignment_title: str,
    link: Callable[[Record], str] | None = None,
) -> str:
    """The report on one assignment: one self-contained HTML page without script.

    Args:
        records: One a student (the latest marking). The same records in any order give the same page.
        course_title: As people read it.
        assignment_title: As people read it.
        link: Gives the address of a student's feedback page: relative (quoted) or http(s); anything else is dropped.

    Returns:
        A whole document; under 1 MB for 2 000 students.
    """
    ordered = sorted(records, key=lambda record: (_name(record).casefold(), record.submission.student))
    exercises = exercises_of(ordered)
    students = [_student(record, exercises, link) for record in ordered]
    pairs = list(zip(ordered, students, strict=True))
    final = [record for record in ordered if not record.is_held and record.score is not None]
    max_score = max((record.max_score for record in ordered), default=0.0)
    numbers = _numbers(final, max_score)
    return render(
        "class_report.html.j2",
        "base.css",
        "plots.css",
        "class_report.css",
        course_title=course_title,
        assignment_title=assignment_title,
        numbers=numbers,
        held=len(ordered) - len(final),
        max_score=max_score,
        total=len(ordered),
        marked_between=_marked_between(ordered),
        histogram=_histogram(final, numbers, max_score),
        exercise_plot=_exercise_plot(final, exercises),
        groups=_check_groups(ordered, exercises),
        attention=tuple(_attention(pairs)),
        named=_NAMED,
        slowest=_slowest(pairs),
        exercises=exercises,
        students=students,
    )


def _name(record: Record) -> str:
    return text.display_name(record.submission.name, record.submission.student, limit=48)


def exercises_of(records: Sequence[Record]) -> tuple[ExerciseSpec, ...]:
    """The exercises of a class, in order of first appearance."""
    found: dict[str, ExerciseSpec] = {}
    for record in records:
        for score in record.exercises:
            found.setdefault(score.exercise.id, score.exercise)
    return tuple(found.values())


def _student(record: Record, exercises: Sequence[ExerciseSpec], link: Callable[[Record], str] | None) -> _Student:
    name = _name(record)
    earned = {score.exercise.id: text.points_text(score.earned) for score in record.exercises}
    return _Student(
        name=name,
        id=text.display_name(record.submission.student, limit=48) if record.submission.student != name else None,
        href=_safe_href(link(record)) if link else None,
        held=record.is_held,
        score=None if record.is_held else record.score,
        earned=tuple(earned.get(exercise.id, "–") for exercise in exercises),
        flags=tuple(sorted({text.display_name(flag.id, limit=24) for flag in record.flags})[:6]),
    )


def _safe_href(href: str) -> str | None:
    """``href`` if it is relative or http(s): never ``javascript:``."""
    try:
        scheme = urlsplit(href).scheme
    except ValueError:
        return None
    return href if scheme in {"", "http", "https"} else None


def _numbers(final: Sequence[Record], max_score: float) -> _Numbers | None:
    scores = [record.score for record in final if record.score is not None]
    if not scores:
        return None
    lower, median, upper = statistics.quantiles(scores, n=4, method="inclusive") if len(scores) > 1 else scores * 3
    return _Numbers(
        marked=len(scores),
        mean=statistics.fmean(scores),
        median=median,
        lower=lower,
        upper=upper,
        spread=statistics.pstdev(scores),
        full=sum(score >= max_score for score in scores),
    )


def _marked_between(records: Sequence[Record]) -> str | None:
    times = sorted(record.marked_at for record in records if record.marked_at)
    if not times:
        return None
    first, last = text.date_text(times[0]), text.date_text(times[-1])
    return f"Marked {first}" if first == last else f"Marked from {first} to {last}"


def _histogram(final: Sequence[Record], numbers: _Numbers | None, max_score: float) -> tuple[Markup, ...]:
    if numbers is None or max_score <= 0:
        return ()
    scores = [record.score for record in final if record.score is not None]
    bins = 20 if len(scores) > 60 else 10
    counts = [0] * bins
    for score in scores:
        counts[min(bins - 1, max(0, int(bins * score / max_score)))] += 1
    label = (
        f"Histogram of {text.count_of(numbers.marked, 'score')} between 0 and {text.points_text(max_score)} points; "
        f"the median is {text.points_text(numbers.median)}. Submissions by {bins} equal steps: "
        + ", ".join(str(count) for count in counts)
        + "."
    )
    edges = [max_score * step / bins for step in range(bins + 1)]
    return tuple(
        score_histogram(counts, edges, median=numbers.median, label=label, wide=wide) for wide in (True, False)
    )


def _exercise_plot(final: Sequence[Record], exercises: Sequence[ExerciseSpec]) -> tuple[Markup, ...]:
    rows = []
    for exercise in exercises:
        reachable = exercise.points - exercise.manual_points
        shares = [
            text.share(score.earned, reachable)
            for record in final
            for score in record.exercises
            if score.exercise.id == exercise.id
        ]
        if not shares or reachable <= 0:
            continue
        full = sum(share >= 1 for share in shares) / len(shares)
        none = sum(share <= 0 for share in shares) / len(shares)
        rows.append(
            ExerciseShares(
                title=text.display_name(exercise.title),
                full=full,
                some=1 - full - none,
                none=none,
                mean=statistics.fmean(shares),
            )
        )
    if not rows:
        return ()
    label = "Share of the class with all, some and none of the points. " + " ".join(
        f"{row.title}: {row.full:.0%} all, {row.some:.0%} some, {row.none:.0%} none, mean {row.mean:.0%}."
        for row in rows
    )
    return tuple(exercise_plot(rows, label=label, wide=wide) for wide in (True, False))


def _check_groups(records: Sequence[Record], exercises: Sequence[ExerciseSpec]) -> tuple[_CheckGroup, ...]:
    """Checks in file order, grouped by exercise."""
    results: dict[str, list[CheckResult]] = {}
    for record in records:
        for result in record.checks:
            results.setdefault(result.check.id, []).append(result)
    titles = {exercise.id: exercise.title for exercise in exercises}
    groups: dict[str, list[_CheckRow]] = {exercise.id: [] for exercise in exercises}
    for group in results.values():
        groups.setdefault(group[0].check.exercise, []).append(_check_row(group))
    return tuple(_CheckGroup(title=titles.get(key, key), rows=tuple(rows)) for key, rows in groups.items() if rows)


def _check_row(results: Sequence[CheckResult]) -> _CheckRow:
    verdicts = Counter(result.verdict for result in results)
    passed = verdicts[Verdict.PASS]
    told = Counter(
        text.sentence(result.misconception) if result.misconception else text.stopped(result.rationale or "")
        for result in results
        if result.verdict not in {Verdict.PASS, Verdict.SKIPPED, Verdict.BROKEN}
    )
    told.pop("", None)
    common, count = min(told.items(), key=lambda item: (-item[1], item[0])) if told else (None, 0)
    return _CheckRow(
        check=results[0].check,
        passed=passed,
        ran=len(results) - verdicts[Verdict.BROKEN],
        parts=tuple(_parts(verdicts, len(results))),
        breakdown=", ".join(
            f"{verdicts[v]} {WORDS[v].short}" for v in Verdict if v is not Verdict.PASS and verdicts[v]
        ),
        common=text.visible(common[:300]) if common else None,
        common_count=count,
    )


def _parts(verdicts: Counter[Verdict], total: int) -> Iterable[tuple[str, int, float, float]]:
    """The bar of a check: neighbouring verdicts of one tone are one part."""
    start = 0.0
    for tone in ("good", "bad", "warn", "wait", "ours"):
        count = sum(number for verdict, number in verdicts.items() if WORDS[verdict].tone == tone)
        if count:
            width = 100 * count / total
            yield tone, count, start, width
            start += width


_FLAG_TITLES = {
    "violation": "Stopped by the sandbox",
    "forbidden-name": "Used a name that is ruled out",
    "restarted": "Notebook had to be restarted",
    "repaired": "Notebook repaired",
    "late": "Handed in late",
    "redefined": "Names defined twice",
}


def _attention(pairs: Sequence[tuple[Record, _Student]]) -> Iterable[_Attention]:
    """Held submissions first, then by flag: the gravest first, others by how many they are."""
    held = [(student, _held_reason(record)) for record, student in pairs if record.is_held]
    if held:
        yield _Attention(title="On hold: need an instructor", tone="ours", count=len(held), named=tuple(held[:_NAMED]))
    revised = [(student, _revised(record)) for record, student in pairs if record.revisions]
    if revised:
        title = "Marked again, with another mark"
        yield _Attention(title=title, tone="note", count=len(revised), named=tuple(revised[:_NAMED]))
    by_flag: dict[str, list[tuple[_Student, str]]] = {}
    for record, student in pairs:
        for key in dict.fromkeys(flag.id for flag in record.flags):
            told = " ".join(text.stopped(flag.text) for flag in record.flags if flag.id == key)
            by_flag.setdefault(key, []).append((student, text.display_name(told, limit=240)))
    known = list(_FLAG_TITLES)
    for key in sorted(by_flag, key=lambda k: (known.index(k) if k in known else len(known), -len(by_flag[k]), k)):
        named = by_flag[key]
        yield _Attention(
            title=_FLAG_TITLES.get(key, text.display_name(key.replace("-", " ").capitalize())),
            tone="bad" if key == "violation" else "warn" if key in {"forbidden-name", "late"} else "note",
            count=len(named),
            named=tuple(named[:_NAMED]),
        )


def _revised(record: Record) -> str:
    """How a mark has changed, the latest time first: when, scores, reason, checks."""
    told = []
    for revision in reversed(record.revisions):
        before, after = (
            "held" if score is None else text.points_text(score)
            for score in (revision.score_before, revision.score_after)
        )
        checks = ", ".join(
            f"{each.check} {each.before or 'new'} → {each.after or 'gone'}" for each in revision.changes[:5]
        )
        more = f" and {len(revision.changes) - 5} more" if len(revision.changes) > 5 else ""
        reason = text.stopped(revision.reason)
        told.append(f"{text.date_text(revision.at)}: {before} → {after}. {reason} {checks}{more}".strip())
    return text.display_name("; ".join(told), limit=400)


def _held_reason(record: Record) -> str:
    broken = [result.check.id for result in record.checks if result.verdict is Verdict.BROKEN]
    shown = ", ".join(broken[:5]) + (f" and {len(broken) - 5} more" if len(broken) > 5 else "")
    parts = [f"Checks that broke: {shown}." if broken else "", record.message or ""]
    return text.display_name(" ".join(part for part in parts if part), "No reason recorded.", limit=240)


def _slowest(pairs: Sequence[tuple[Record, _Student]]) -> tuple[_Slow, ...]:
    timed = [(record, student) for record, student in pairs if record.timing.total_s > 0]
    timed.sort(key=lambda pair: (-pair[0].timing.total_s, pair[0].submission.student))
    return tuple(
        _Slow(
            student=student,
            total_s=record.timing.total_s,
            cells_s=record.timing.cells_s,
            checks_s=record.timing.checks_s,
            peak_mib=round(record.timing.guest_peak_bytes / (1 << 20)),
        )
        for record, student in timed[:_SLOWEST]
    )
