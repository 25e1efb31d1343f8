"""What is told about a marked change: Markdown, annotations, JUnit XML, JSON. All of it within the feedback policy.

Theory of operation. A report is made from ``grader.reports.shown``, which holds what the feedback page may show, and
from nothing else of a record: no evidence, no hidden input, no ``instructor_only`` flag can get in. Texts of it may
quote the submission; in Markdown each passes ``inert``, elsewhere ``clipped``. Made without running student code.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from grader.ci.inert import clipped, inert
from grader.ci.lines import cell_lines
from grader.model import Verdict
from grader.reports import shown
from grader.reports.text import date_text, percent, points_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grader.ci.change import PullRequest
    from grader.ci.selection import Remark
    from grader.model import Record
    from grader.reports import FeedbackPolicy, Shown

__all__ = [
    "MARKER",
    "MOST_COMMENT",
    "Annotation",
    "Marked",
    "Report",
    "annotate",
    "as_data",
    "junit",
    "lines",
    "markdown",
]

MARKER = "<!-- grader ci: the marks of this pull request -->"
"""By which our comment is found again; text of a submission cannot contain it."""
MOST_COMMENT = 65_536
"""Characters of a comment on GitHub."""
MOST_ANNOTATIONS = 500
_MOST_REMARKS = 40
_ASIDE = "### Not taken from this change"
Conclusion = Literal["success", "failure", "neutral"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """One record with what is needed to tell it."""

    record: Record
    title: str
    """Of the assignment."""
    policy: FeedbackPolicy
    path: str
    """Of the notebook, in the change."""
    data: bytes
    """Its bytes."""

    @property
    def view(self) -> Shown:
        """What may be shown of it."""
        return shown(self.record, self.policy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A marked change."""

    pull: PullRequest
    marked: tuple[Marked, ...]
    remarks: tuple[Remark, ...]
    require: float | None = None
    """Percent of the points that checks can give, which everybody must have."""
    strict: bool = False
    """Whether every check must hold."""

    @property
    def is_held(self) -> bool:
        """Whether something of ours broke."""
        return any(each.record.is_held for each in self.marked)

    @property
    def is_met(self) -> bool:
        """Whether the policy that was asked for holds."""
        return all(self._meets(each.record) for each in self.marked)

    @property
    def conclusion(self) -> Conclusion:
        """For the check on the commit."""
        if self.is_held or not self.marked:
            return "neutral"
        return "success" if self.is_met else "failure"

    @property
    def title(self) -> str:
        """The report in a line; without anything of the submission's."""
        if not self.marked:
            return "Nothing to mark"
        if len(self.marked) == 1:
            return _points(self.marked[0].record)
        return f"{len(self.marked)} submissions marked"

    def _meets(self, record: Record) -> bool:
        if record.is_held or record.score is None:
            return True  # ours: nobody fails by it
        if self.strict and any(result.verdict is not Verdict.PASS for result in record.checks):
            return False
        pending = sum(exercise.pending for exercise in record.exercises)  # a person's to give: not missing
        return self.require is None or record.score * 100 >= self.require * (record.max_score - pending) - 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """A remark at a line of the notebook's file."""

    path: str
    line: int
    """One-based."""
    level: Literal["warning", "notice"]
    title: str
    message: str


def markdown(report: Report, *, most: int = MOST_COMMENT, more: str | None = None) -> str:
    """The comment: at most ``most`` characters, cut between two parts of it, with a link to the whole.

    Args:
        report: what is told.
        most: characters.
        more: where the whole report lies, an address of ours.
    """
    where = f" The whole report: {more}" if more else " The whole report is among the files of this run."
    cut = f"\n\n*This comment was cut, because it would be too long.*{where}\n"
    text = MARKER
    foot = "\n\n" + _foot(report)
    for part in _parts(report):
        if len(text) + len(part) + len(foot) + len(cut) + 2 > most:
            return text + cut + foot
        text += "\n\n" + part
    return text + foot + "\n"


def _parts(report: Report) -> Iterator[str]:
    """Blocks of Markdown, each whole."""
    if not report.marked:
        yield "### Nothing to mark\n\nThis change hands in no notebook of an assignment."
    for each in report.marked:
        yield from _marked_parts(each, named=len(report.marked) > 1)
    remarks = [remark for remark in report.remarks if remark.is_flag or remark.reason in ("lfs", "removed")]
    others = len(report.remarks) - len(remarks)
    if remarks:
        lines = []
        for remark in remarks[:_MOST_REMARKS]:
            flag = "⚑ " if remark.is_flag else ""
            lines.append(f"* {flag}{_code(remark.path)}: {remark.text}" if remark.path else f"* {flag}{remark.text}")
        if len(remarks) > _MOST_REMARKS:
            lines.append(f"* and {len(remarks) - _MOST_REMARKS} more")
        yield "\n".join([_ASIDE, "", *lines])
    if others:
        yield f"{others} other changed file(s) are not marked."


def _marked_parts(each: Marked, *, named: bool) -> Iterator[str]:
    record, view = each.record, each.view
    who = f", {inert(record.submission.student, 64)}" if named else ""
    yield f"### {inert(each.title, 100)}{who}: {_points(record)}\n\n{inert(view.summary)}"
    for notice in view.notices:
        yield f"> **{inert(notice.title, 100)}.** {inert(notice.text)}"
    rows = [
        f"| {inert(exercise.title, 100)} | {_earned(record, exercise.earned)} / {points_text(exercise.points)} "
        f"| {exercise.passed} of {exercise.total} |"
        for exercise in view.exercises
    ]
    yield "\n".join(["| exercise | points | checks |", "| --- | ---: | ---: |", *rows])
    for exercise in view.exercises:
        lines = list(_check_lines(exercise.checks))
        if lines:
            head = f"<details><summary>{inert(exercise.title, 100)}</summary>"
            yield "\n".join([head, "", *lines, "", "</details>"])
    if len(view.steps) > 1 and any(step < 0 for _, step in view.steps):
        steps = "; ".join(f"{inert(text, 200)} ({points_text(points)})" for text, points in view.steps if points < 0)
        yield f"Taken off: {steps}"


def _check_lines(checks: tuple[Any, ...]) -> Iterator[str]:
    for check in checks:
        if check.verdict is Verdict.PASS:
            continue
        points = f"{points_text(check.earned)} of {points_text(check.points)}"
        yield f"* **{check.words.word}** ({points}): {inert(check.line)}"
        told = [None if check.waits_for else check.rationale, check.misconception]
        told += [f"Hint: {check.hint}"] if check.hint else []
        yield from (f"  * {inert(text)}" for text in told if text)
        if check.own_line is not None:
            at = f"cell {check.own_line.cell}" + (f", line {check.own_line.line}" if check.own_line.line else "")
            source = f": {_code(check.own_line.source)}" if check.own_line.source else ""
            yield f"  * Your code, {at}{source}"
        for other in check.waits_for:
            yield f"  * It waits for: {inert(other.line)}"


def _foot(report: Report) -> str:
    received = date_text(report.pull.received_at)
    when = f", received {received}" if received else ""
    return f"<sub>Commit {report.pull.head[:12]}{when}. Marked with the course's own checks and settings.</sub>"


def _points(record: Record) -> str:
    if record.is_held or record.score is None:
        return "on hold"
    return f"{points_text(record.score)} of {points_text(record.max_score)} points"


def _earned(record: Record, points: float) -> str:
    return "on hold" if record.is_held else points_text(points)


def _code(text: str) -> str:
    """Untrusted text in the type of code; HTML's tag, because what is in it is escaped like any other."""
    return f"<code>{inert(text, 200)}</code>"


def annotate(report: Report) -> list[Annotation]:
    """What did not pass, at the student's own line or else at the exercise's cell."""
    found: list[Annotation] = []
    for each in report.marked:
        lines = cell_lines(each.data)
        first = {cell.exercise: cell.index for cell in reversed(each.record.cells) if cell.exercise is not None}
        for exercise in each.view.exercises:
            for check in exercise.checks:
                if check.verdict in (Verdict.PASS, Verdict.SKIPPED):
                    continue
                cell = first.get(exercise.anchor.removeprefix("exercise-"))
                line = 1
                if check.own_line is not None:
                    cell, line = check.own_line.cell - 1, check.own_line.line or 1
                told = [check.line, check.rationale, check.misconception, f"Hint: {check.hint}" if check.hint else None]
                found.append(
                    Annotation(
                        path=each.path,
                        line=_line(lines, cell, line),
                        level="notice" if check.verdict.is_ours else "warning",
                        title=clipped(f"{exercise.title}: {check.words.word.lower()}", 200),
                        message="\n".join(clipped(text, 1000) for text in told if text),
                    )
                )
    return found[:MOST_ANNOTATIONS]


def _line(lines: list[list[int]], cell: int | None, line: int) -> int:
    if cell is None or not 0 <= cell < len(lines) or not lines[cell]:
        return 1
    return lines[cell][min(max(line, 1), len(lines[cell])) - 1]


_NOT_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Report) -> str:
    """JUnit XML: a suite for each submission, a case for each check (or, with ``minimal``, for each exercise)."""
    root = ET.Element("testsuites", name="grader")
    for each in report.marked:
        record = each.record
        suite = ET.SubElement(
            root, "testsuite", name=_xml(f"{record.submission.assignment} {record.submission.student}")
        )
        total = failures = 0
        for exercise in each.view.exercises:
            group = f"{record.submission.assignment}.{exercise.anchor.removeprefix('exercise-')}"
            for check in exercise.checks:
                total += 1
                case = ET.SubElement(suite, "testcase", classname=_xml(group), name=_xml(check.line))
                if check.verdict in (Verdict.SKIPPED, Verdict.BROKEN):
                    ET.SubElement(case, "skipped", message=_xml(check.words.word))
                elif check.verdict is not Verdict.PASS:
                    failures += 1
                    told = [each for each in (check.rationale, check.misconception, check.hint) if each]
                    ET.SubElement(case, "failure", type=str(check.verdict), message=_xml(" ".join(told)))
            if not exercise.checks and exercise.total:
                total += 1
                case = ET.SubElement(suite, "testcase", classname=_xml(group), name=_xml(exercise.title))
                if exercise.passed < exercise.total:
                    failures += 1
                    ET.SubElement(case, "failure", message=f"{exercise.passed} of {exercise.total} checks pass")
        suite.set("tests", str(total))
        suite.set("failures", str(failures))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _xml(text: str) -> str:
    return _NOT_XML.sub("�", clipped(text, 1000))


def as_data(report: Report) -> dict[str, Any]:
    """The report for other programs; nothing in it that a student may not know."""
    pull = report.pull
    return {
        "where": pull.where or None,
        "number": pull.number,
        "author": pull.author,
        "base": pull.base,
        "head": pull.head,
        "received_at": pull.received_at,
        "conclusion": report.conclusion,
        "met": report.is_met,
        "held": report.is_held,
        "submissions": [_submission(each) for each in report.marked],
        "remarks": [
            {"reason": remark.reason, "flag": remark.is_flag, "path": remark.path, "text": remark.text}
            for remark in report.remarks
        ],
    }


def _submission(each: Marked) -> dict[str, Any]:
    record = each.record
    return {
        "student": record.submission.student,
        "assignment": record.submission.assignment,
        "path": each.path,
        "sha256": record.submission.sha256,
        "received_at": record.submission.received_at,
        "status": str(record.status),
        "score": None if record.is_held else record.score,
        "max_score": record.max_score,
        "percent": None if record.is_held else percent(record.score or 0.0, record.max_score),
        "exercises": [
            {
                "title": exercise.title,
                "earned": exercise.earned,
                "points": exercise.points,
                "passed": exercise.passed,
                "total": exercise.total,
                "checks": [
                    {"line": check.line, "verdict": str(check.verdict), "earned": check.earned, "told": check.rationale}
                    for check in exercise.checks
                ],
            }
            for exercise in each.view.exercises
        ],
    }


def lines(report: Report) -> Iterator[str]:
    """The report for a terminal: a line a submission, a line a check that did not pass, a line a remark."""
    if not report.marked:
        yield "Nothing to mark: this change hands in no notebook of an assignment."
    for each in report.marked:
        ref = each.record.submission
        yield f"{clipped(ref.student, 64)}  {ref.assignment}  {_points(each.record)}"
        for exercise in each.view.exercises:
            yield f"  {clipped(exercise.title, 100)}: {exercise.passed} of {exercise.total} checks pass"
            for check in exercise.checks:
                if check.verdict is not Verdict.PASS:
                    told = f" {clipped(check.rationale, 300)}" if check.rationale else ""
                    yield f"    {check.words.word}: {clipped(check.line, 200)}{told}"
    for remark in report.remarks:
        path = f"{clipped(remark.path, 200)}: " if remark.path else ""
        yield f"{'flagged' if remark.is_flag else 'left aside'}  {path}{remark.text}"
