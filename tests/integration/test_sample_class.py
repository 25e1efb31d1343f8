"""The sample class of softmax-regression, marked in the real sandbox and compared with what each must earn.

``solutions/softmax-regression/class/expected.yaml`` says what each student handed in and what comes of it. The class is
marked once; what the tests compare are the records of that run.
"""

import html
import os
import shutil
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from grader.cli.demo import set_up
from grader.config import Assignment, Course, load_course
from grader.jobs import Outcome, mark
from grader.model import Record, RecordStatus, Verdict
from grader.reports.feedback import feedback_page
from grader.sandbox.bubblewrap import obstacle

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(obstacle() is not None, reason=f"no bubblewrap sandbox here: {obstacle()}"),
]

ROOT = Path(__file__).resolve().parents[2]
NAME = "softmax-regression"
CLASS = ROOT / "solutions" / NAME / "class"
EXPECTED: dict[str, dict[str, Any]] = yaml.safe_load((CLASS / "expected.yaml").read_text(encoding="utf-8"))
SEED = 20_240_601
QUIET = {"ok", "text", "skipped"}
"""What a cell does that nobody has to look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A course folder with the sample class in it, and what the first run over it did."""

    course: Course
    assignment: Assignment
    outcome: Outcome

    @property
    def records(self) -> dict[str, Record]:
        return {record.submission.student: record for record in self.outcome.records}


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("class") / "course"
    set_up(load_course(ROOT), load_course(ROOT).assignment(NAME), folder)
    course = load_course(folder)
    assignment = course.assignment(NAME)
    return Marked(course=course, assignment=assignment, outcome=mark(course, assignment, seed=SEED))


@pytest.fixture(params=sorted(EXPECTED))
def student(request):
    return request.param


def verdicts(record):
    """Verdict -> ids of the checks that got it."""
    found = defaultdict(set)
    for result in record.checks:
        found[result.verdict].add(result.check.id)
    return found


def test_every_submission_has_its_record(marked):
    """One bad submission never stops the others: as many records as submissions, none of them held."""
    submitted = {entry.name for entry in os.scandir(CLASS) if entry.is_dir()}
    assert submitted == set(EXPECTED)
    assert len(submitted) >= 16
    assert set(marked.records) == submitted
    assert {record.status for record in marked.outcome.records} == {RecordStatus.FINAL}
    assert marked.outcome.sandbox == "bubblewrap"


def test_points(marked, student):
    """Each student earns, in every exercise and in all, what the work is worth."""
    record, expected = marked.records[student], EXPECTED[student]
    assert {score.exercise.id: score.earned for score in record.exercises} == expected["points"]
    assert record.score == expected["total"] == sum(expected["points"].values())


def test_verdicts(marked, student):
    """Exactly the checks that the work offends against say so, each with the right verdict."""
    found = verdicts(marked.records[student])
    checks = EXPECTED[student].get("checks", {})
    if "all" in checks:
        assert set(found) == {Verdict(checks["all"])}
        return
    assert {verdict: ids for verdict, ids in found.items() if verdict is not Verdict.PASS} == {
        Verdict(verdict): set(ids) for verdict, ids in checks.items()
    }


def test_flags(marked, student):
    """Instructors are told what is odd about a submission, and nothing about one that is not."""
    assert {flag.id for flag in marked.records[student].flags} == set(EXPECTED[student].get("flags", []))


def test_cells(marked, student):
    """A cell that raises, hangs, fills the memory or ends the process is named; all others ran."""
    record = marked.records[student]
    odd = {cell.index + 1: cell.status for cell in record.cells if cell.status not in QUIET}
    assert odd == EXPECTED[student].get("cells", {})


def test_a_stopped_cell_says_why(marked):
    """A cell that was stopped carries a sentence for its author."""
    stopped = [
        cell
        for record in marked.outcome.records
        for cell in record.cells
        if cell.status in ("timeout", "memory", "crash")
    ]
    assert stopped
    assert all(cell.note for cell in stopped)


def test_message(marked, student):
    """What is no notebook is answered with a sentence, and a notebook with its checks."""
    message, expected = marked.records[student].message, EXPECTED[student].get("message")
    assert (message is None) == (expected is None)
    assert (message or "").startswith(expected or "")


def test_the_disk_tells_nothing(marked):
    """Code that walks the disk, reads the environment and tries imports finds no test, solution or secret."""
    for student, expected in EXPECTED.items():
        cells = {cell.index + 1: cell for cell in marked.records[student].cells}
        for number, text in expected.get("prints", {}).items():
            assert "".join(output.text for output in cells[number].outputs) == text


def test_wrong_answers_get_a_sentence(marked):
    """Every check that does not pass tells its student something besides its own line."""
    for record in marked.outcome.records:
        for result in record.checks:
            if result.verdict is not Verdict.PASS:
                assert result.rationale or result.check.hint, (record.submission.student, result.check.id)


def test_a_file_that_cannot_be_read_is_told_once(marked):
    """Why there is nothing to mark stands on the student's page, and is not repeated as a note."""
    unread = [record for record in marked.outcome.records if not record.cells]
    assert {record.submission.student for record in unread} == {"noah", "olga"}
    for record in unread:
        page = html.unescape(feedback_page(record, course_title="", assignment_title=""))
        assert page.count(record.message) == 1


def test_known_misconceptions_are_named(marked):
    """A wrong idea that the checks know is named to the student who had it."""
    named = {
        student: {result.check.id for result in record.checks if result.misconception}
        for student, record in marked.records.items()
    }
    assert named["femi"] >= {"logsumexp_extremes", "cross_entropy_smoothing", "kl_divergence_values"}
    assert named["greta"] >= {"grads_values"}
    assert named["hana"] >= {"cross_entropy_smoothing"}
    assert not named["amara"]


def test_marking_again_changes_nothing(marked):
    """What has not changed is not marked again, and its records stay what they are."""
    again = mark(marked.course, marked.assignment)
    assert again.marked == ()
    assert {record.submission.student for record in again.unchanged} == set(EXPECTED)
    scores = {record.submission.student: record.score for record in again.records}
    assert scores == {student: record.score for student, record in marked.records.items()}


def test_the_same_seed_gives_the_same_verdicts(marked):
    """A second marking of the whole class with the same seed says the same of every check."""
    again = mark(marked.course, marked.assignment, seed=SEED, force=True)
    assert {record.reason for record in again.marked} == {"asked"}
    for record in again.marked:
        before = marked.records[record.submission.student]
        assert [(result.check.id, result.verdict, result.earned) for result in record.checks] == [
            (result.check.id, result.verdict, result.earned) for result in before.checks
        ]
        assert record.score == before.score


def test_another_seed_gives_the_same_marks(marked, tmp_path):
    """Fresh inputs never change a mark: right and wrong work earns the same with another seed."""
    folder = tmp_path / "course"
    shutil.copytree(marked.course.root, folder, ignore=shutil.ignore_patterns(".grader", "gradebook.db"))
    course = load_course(folder)
    outcome = mark(
        course, course.assignment(NAME), students=["amara", "ben", "elif", "femi"], seed=SEED + 1, force=True
    )
    assert len(outcome.marked) == 4
    for record in outcome.marked:
        student = record.submission.student
        before = marked.records[student]
        assert verdicts(record) == verdicts(before), student
