"""The page that a student gets: the score, what each check said, and their own notebook.

Theory of operation. Everything on a record that came from the student (names, source, outputs, the line that raised)
is untrusted, and so are rationales that quote it: see ``text``, ``sanitise`` and ``png`` for what happens to it. What a
student may know is decided *here*, before the template sees anything: the view holds no evidence, no
``instructor_only`` flag, and of a check only what the policy allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from grader.model import CheckResult, ExerciseScore, Record, Verdict, Visibility
from grader.reports import text
from grader.reports.notebook_view import NotebookView, RaisedHere, cell_anchor, notebook_view, shows_cell
from grader.reports.pages import render
from grader.reports.plots import measurement_plot
from grader.reports.verdicts import WORDS, VerdictWords, is_in_part, words_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from markupsafe import Markup

    from grader.model import Change, Revision

__all__ = ["FeedbackPolicy", "Shown", "feedback_page", "shown"]

FeedbackPolicy = Literal["rationale", "line", "minimal"]
"""What a student sees of a check: ``rationale`` (line, verdict, points, what kind of thing went wrong, misconception,
hint, own line), ``line`` (line, verdict, points), ``minimal`` (how many passed, by exercise)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Notice:
    """A box below the score."""

    tone: str
    icon: str
    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _OwnLine:
    """The student's line that raised."""

    source: str | None
    line: int | None
    cell: int
    """One-based."""
    anchor: str | None
    """None when the cell is not on the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waits:
    """A check that another one waits for."""

    anchor: str
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """A measurement, in words and as a plot."""

    words: str
    plot: Markup
    hint: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    """What is shown of one check."""

    anchor: str
    line: str
    verdict: Verdict
    words: VerdictWords
    earned: float
    points: float
    public: bool
    rationale: str | None
    misconception: str | None
    hint: str | None
    own_line: _OwnLine | None
    waits_for: tuple[_Waits, ...]
    measured: tuple[_Measured, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exercise:
    """One exercise with its checks."""

    anchor: str
    title: str
    earned: float
    points: float
    pending: float
    bonus: bool
    checks: tuple[_Check, ...]
    passed: int
    """Number of checks that passed."""
    total: int
    """Number of checks, shown or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Changed:
    """A check that said something else in a later marking."""

    anchor: str | None
    """None when the assignment has it no more."""
    line: str
    before: VerdictWords | None
    """None: there was no such check."""
    after: VerdictWords | None
    earned_before: float
    earned_after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Revised:
    """A later marking that changed the mark."""

    at: str | None
    before: float | None
    """The score; None while it was on hold."""
    after: float | None
    reason: str
    quoted: bool
    """Whether the reason is in an instructor's own words."""
    checks: tuple[_Changed, ...]
    folded: bool
    """Whether there are so many that they are shown when asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a student may know of a mark, wherever it is told; texts in it are still untrusted."""

    summary: str
    notices: tuple[_Notice, ...]
    exercises: tuple[_Exercise, ...]
    steps: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """Everything that the template may print."""

    student: str
    student_id: str | None
    held: bool
    score: float | None
    max_score: float
    pending: float
    summary: str
    notices: tuple[_Notice, ...]
    revised: tuple[_Revised, ...]
    """The latest first."""
    has_other_score: bool
    """Whether one of them changed the score, not only what it is made of."""
    exercises: tuple[_Exercise, ...]
    steps: tuple[tuple[str, float], ...]
    notebook: NotebookView
    received_at: str | None
    marked_at: str | None
    fingerprint: str


def feedback_page(
    record: Record, *, course_title: str, assignment_title: str, policy: FeedbackPolicy = "rationale"
) -> str:
    """The feedback on one submission: one self-contained HTML page without script.

    Args:
        record: The marking to show.
        course_title: As people read it.
        assignment_title: As people read it.
        policy: What is shown of each check. Evidence and ``instructor_only`` flags never are.

    Returns:
        A whole document that encodes to UTF-8; its Content-Security-Policy admits its one style block and pictures
        from ``data:``, nothing else.
    """
    return render(
        "feedback.html.j2",
        "base.css",
        "plots.css",
        "feedback.css",
        page=_page(record, policy),
        course_title=course_title,
        assignment_title=assignment_title,
    )


def shown(record: Record, policy: FeedbackPolicy) -> Shown:
    """What of a mark its student may know: no evidence, no flag for instructors, of a check what ``policy`` allows."""
    pending = sum(exercise.pending for exercise in record.exercises)
    return Shown(
        summary=_summary(record, pending),
        notices=tuple(_notices(record, pending)),
        # With nothing that ran, what each check missed says the same over and over: its line is enough.
        exercises=tuple(_exercises(record, "line" if policy == "rationale" and not record.cells else policy)),
        steps=() if record.is_held else tuple((step.text, step.points) for step in record.steps),
    )


def _page(record: Record, policy: FeedbackPolicy) -> _Page:
    submission = record.submission
    name = text.display_name(submission.name, submission.student)
    view = shown(record, policy)
    pending = sum(exercise.pending for exercise in record.exercises)
    return _Page(
        student=name,
        student_id=text.display_name(submission.student) if submission.student != name else None,
        held=record.is_held or record.score is None,
        score=None if record.is_held else record.score,
        max_score=record.max_score,
        pending=pending,
        summary=view.summary,
        notices=view.notices,
        revised=tuple(_revised(record, revision, policy) for revision in reversed(record.revisions)),
        has_other_score=any(each.score_before != each.score_after for each in record.revisions),
        exercises=view.exercises,
        steps=view.steps,
        notebook=notebook_view(
            record.cells,
            titles={score.exercise.id: score.exercise.title for score in record.exercises},
            raised=_raised(record) if policy == "rationale" else {},
        ),
        received_at=text.date_text(submission.received_at),
        marked_at=text.date_text(record.marked_at),
        fingerprint=submission.sha256[:12],
    )


def _summary(record: Record, pending: float) -> str:
    """The page in one sentence."""
    counted = [result for result in record.checks if result.check.points > 0]
    passed = sum(result.verdict is Verdict.PASS for result in counted)
    if record.is_held or record.score is None:
        return "Your score is on hold: something broke on our side, and an instructor will look at it."
    if not counted:
        return "There was nothing in this submission that could be checked."
    if passed == len(counted):
        full = record.score >= record.max_score - pending
        return "Every check passes. Very well done!" if full else "Every check passes."
    if not record.cells:
        return "There was nothing in this submission that could be run."
    if all(result.kind == "not-implemented" or result.verdict in _UNTRIED for result in counted):
        return "None of the checks passes yet. Below is what each of them looks for."
    if passed == 0:
        return "None of the checks passes yet. Below is what happened in each of them."
    return f"{passed} of {text.count_of(len(counted), 'check')} pass. Below is what the others found."


_UNTRIED = frozenset({Verdict.MISSING, Verdict.SKIPPED})
_FLAG_TITLES = {
    "late": ("Handed in late", "clock"),
    "repaired": ("We mended your notebook", "wrench"),
    "restarted": ("We started your notebook again", "wrench"),
    "forbidden-name": ("A name that this exercise rules out", "shield"),
    "redefined": ("A name was defined twice", "info"),
    "violation": ("Stopped by the sandbox", "shield"),
}


def _notices(record: Record, pending: float) -> Iterable[_Notice]:
    if record.is_held:
        yield _Notice(
            tone="ours",
            icon="wrench",
            title="Your score is on hold",
            text="Something broke on our side while your work was marked. You did nothing wrong and need do nothing: "
            "an instructor will look at it, and your score will follow. What is shown below may still change.",
        )
    if record.message:
        yield _Notice(tone="warn", icon="info", title="About your submission", text=record.message)
    for flag in record.flags:
        if not flag.instructor_only:
            title, icon = _FLAG_TITLES.get(flag.id, ("Please note", "info"))
            yield _Notice(tone="warn" if flag.id == "late" else "note", icon=icon, title=title, text=flag.text)
    if pending > 0 and not record.is_held:
        yield _Notice(
            tone="note",
            icon="pencil",
            title=f"{text.points_text(pending)} {'point is' if pending == 1 else 'points are'} still open",
            text="A part of this assignment is read by a person. Those points are added once that is done.",
        )


_REASONS = {
    "asked": "Your instructor had it marked again.",
    "assignment changed": "The assignment was changed, so your work was marked again.",
    "checks changed": "Checks of this assignment were changed, so they were run on your work again.",
    "due date or rubric changed": "The due date or the worth of something was changed, and the points added up anew.",
    "was held": "Something had broken on our side, so your work was marked again.",
}
"""What the grader itself gives as a reason; everything else an instructor wrote."""
_FOLDED = 5
"""More changed checks than this are folded."""


def _revised(record: Record, revision: Revision, policy: FeedbackPolicy) -> _Revised:
    checks = () if policy == "minimal" else tuple(_changed(record, change) for change in revision.changes)
    return _Revised(
        at=text.date_text(revision.at),
        before=revision.score_before,
        after=revision.score_after,
        reason=_REASONS.get(revision.reason, revision.reason.strip()),
        quoted=revision.reason not in _REASONS,
        checks=checks,
        folded=len(checks) > _FOLDED,
    )


def _changed(record: Record, change: Change) -> _Changed:
    """A change in a student's words. An id is never shown: what is no check any more has no sentence either."""
    now = next((result for result in record.checks if result.check.id == change.check), None)
    after = None if change.after is None else WORDS[change.after]
    if now is not None and now.verdict is change.after:
        after = words_for(now)
    return _Changed(
        anchor=None if now is None else _anchor(now),
        line="A check that is no longer part of this assignment" if now is None else now.check.line,
        before=None if change.before is None else WORDS[change.before],
        after=after,
        earned_before=change.earned_before,
        earned_after=change.earned_after,
    )


def _exercises(record: Record, policy: FeedbackPolicy) -> Iterable[_Exercise]:
    """Exercises in the assignment's order; checks of none of them in a section of their own at the end."""
    by_exercise: dict[str, list[CheckResult]] = {}
    for result in record.checks:
        by_exercise.setdefault(result.check.exercise, []).append(result)
    for score in record.exercises:
        yield _exercise(record, score, by_exercise.pop(score.exercise.id, []), policy)
    rest = [result for group in by_exercise.values() for result in group]
    if rest:
        yield _exercise(record, None, rest, policy)


def _exercise(
    record: Record, score: ExerciseScore | None, checks: list[CheckResult], policy: FeedbackPolicy
) -> _Exercise:
    shown = () if policy == "minimal" else tuple(_check(record, result, policy) for result in checks)
    return _Exercise(
        anchor=f"exercise-{score.exercise.id}" if score else "exercises-other",
        title=score.exercise.title if score else "Other checks",
        earned=score.earned if score else sum(result.earned for result in checks),
        points=score.exercise.points if score else sum(result.check.points for result in checks),
        pending=score.pending if score else 0.0,
        bonus=score.exercise.bonus if score else False,
        checks=shown,
        passed=sum(result.verdict is Verdict.PASS for result in checks),
        total=len(checks),
    )


def _check(record: Record, result: CheckResult, policy: FeedbackPolicy) -> _Check:
    words = words_for(result)
    waits_for = tuple(_waits(record, result)) if result.verdict is Verdict.SKIPPED else ()
    # What it waits for is shown as a link: the rationale would say it a second time.
    in_full = policy == "rationale" and result.verdict is not Verdict.PASS and not waits_for
    # That something is ours, or waits for something else, is said under every policy.
    say = in_full or result.verdict in {Verdict.BROKEN, Verdict.SKIPPED}
    hinted = in_full or (policy == "rationale" and is_in_part(result))
    return _Check(
        anchor=_anchor(result),
        line=result.check.line,
        verdict=result.verdict,
        words=words,
        earned=result.earned,
        points=result.check.points,
        public=result.check.visibility is Visibility.PUBLIC,
        rationale=(result.rationale if in_full and not result.verdict.is_ours else None)
        or (words.sentence if say else None),
        misconception=text.sentence(result.misconception) if in_full and result.misconception else None,
        hint=result.check.hint if hinted and result.verdict not in {Verdict.SKIPPED, Verdict.BROKEN} else None,
        own_line=_own_line(record, result) if in_full else None,
        waits_for=waits_for,
        measured=tuple(_measured(result)) if policy == "rationale" else (),
    )


def _measured(result: CheckResult) -> Iterable[_Measured]:
    """Time and growth; the rest is exact and said in the rationale, but where a part of the points is earned."""
    for number, each in enumerate(result.measurements):
        if each.kind not in {"time", "growth"} and not is_in_part(result):
            continue
        around, what = "", "rounds" if each.kind == "growth" else "pairs"
        if each.low is not None and each.high is not None and each.pairs > 1:
            around = f" (between {_figures(each.low)} and {_figures(each.high)}, over {each.pairs} {what})"
        most = f"The limit is {_figures(each.limits[0][0])}."
        if len(each.limits) > 1:
            most = f"Up to {_figures(each.limits[0][0])} earns all points, up to {_figures(each.limits[-1][0])} a part."
        if not each.clear:
            most += " The machine was unsteady, and you have the benefit of the doubt."
        of = "time" if each.kind == "growth" else each.kind
        words = f"{of.capitalize()}: {_figures(each.value)} {each.unit}{around}. {most}"
        if each.unit == "exponent":
            words = f"{of.capitalize()} grows like size to the power of {_figures(each.value)}{around}. {most}"
        calls = (
            f"{name.removeprefix('aten::')} {'once' if count == 1 else f'{count:,} times'}"
            for name, count in each.hints
        )
        most_called = ", ".join(calls)
        yield _Measured(
            words=words,
            plot=measurement_plot(each, name=f"{_anchor(result)}-{number}", label=words),
            hint=f"Called most often: {most_called}." if most_called else None,
        )


def _figures(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.2g}"


def _anchor(result: CheckResult) -> str:
    return f"check-{result.check.id}"


def _own_line(record: Record, result: CheckResult) -> _OwnLine | None:
    if result.student_cell is None or result.student_cell < 0:
        return None
    source = result.student_source.strip()[:300] if result.student_source else None
    return _OwnLine(
        source=source or None,
        line=result.student_line,
        cell=result.student_cell + 1,
        anchor=cell_anchor(result.student_cell) if shows_cell(record.cells, result.student_cell) else None,
    )


def _waits(record: Record, result: CheckResult) -> Iterable[_Waits]:
    """The checks that it depends on and that did not pass."""
    for other in record.checks:
        if other.check.id in result.check.depends and other.verdict is not Verdict.PASS:
            yield _Waits(anchor=_anchor(other), line=other.check.line)


def _raised(record: Record) -> dict[int, list[RaisedHere]]:
    """By cell, the checks that ended with an exception there."""
    marks: dict[int, list[RaisedHere]] = {}
    for result in record.checks:
        if result.student_cell is not None and result.verdict is not Verdict.PASS:
            mark = RaisedHere(anchor=_anchor(result), line=result.check.line, source_line=result.student_line)
            marks.setdefault(result.student_cell, []).append(mark)
    return marks
