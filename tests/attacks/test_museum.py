"""Attacks that graders have lost to, each through the real path: `grader grade`, the sandbox, journal and gradebook.

All attackers hand in to one class, beside honest students. The class is marked once, by the command line in a process of
its own, and each test then asks the same four things: the score is that of the same notebook without the trick; nothing
outside the submission has changed; the batch went on; the record says what happened. Attacks on the meters that this
class's assignment does not have hand in to other assignments of the same course, each with its control.

``MUSEUM_SANDBOX=docker`` marks the class in containers instead, and with ``MUSEUM_FORMS=first`` each attack of the list
hands in its first form only, beside the controls: the tests of the docker sandbox run this file so.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import itertools
import json
import os
import re
import secrets
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import counting
import forging
import packing
import poisoning
import pytest
import reading
import resources
import timing
from attack import HONEST, NAME, ROOT, SECRET, Attack, notebook
from fair import FAIR as ALL_FAIR
from fair import RIGHT

from grader.config import load_course
from grader.gradebook.codec import dump_cells
from grader.gradebook.journal import Journal
from grader.jobs import journal_path
from grader.model import Record, RecordStatus
from grader.reports.files import page_name
from grader.sandbox.bubblewrap import obstacle

SANDBOX = os.environ.get("MUSEUM_SANDBOX", "bubblewrap")
FORMS = os.environ.get("MUSEUM_FORMS", "all")
"""``first``: one form of each attack hands in; ``all``: every one."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        SANDBOX == "bubblewrap" and obstacle() is not None, reason=f"no bubblewrap sandbox here: {obstacle()}"
    ),
]

ALL: list[Attack] = [
    *(*reading.ATTACKS, *forging.ATTACKS, *resources.ATTACKS, *packing.ATTACKS, *poisoning.ATTACKS),
    *(*timing.ATTACKS, *counting.ATTACKS),
]


def handing_in(forms: list[Attack]) -> list[Attack]:
    """Those of them that hand in."""
    return list({form.number: form for form in reversed(forms)}.values()) if FORMS == "first" else forms


ATTACKS, FAIR = handing_in(ALL), handing_in(ALL_FAIR)
ASSIGNMENTS = tuple(dict.fromkeys([NAME, *(attack.assignment for attack in ATTACKS)]))
"""The class's own, and others in which something is tried."""
TRIES = 5
"""How often somebody is marked again whom the machine was too noisy to time."""
FULL = 30.0
"""The points of the three exercises that the controls answer."""
CONTROLS = {
    "honest-right": {**HONEST, "logsumexp": RIGHT},
    "honest-wrong": HONEST,
    "honest-quick": {**HONEST, "cross_entropy": timing.QUICK},
    "honest-slow": {**HONEST, "cross_entropy": timing.LOOP},
    "honest-wasteful": {**HONEST, "cross_entropy": timing.WASTE},
}
ELSEWHERE = [control for control in counting.CONTROLS if control.assignment in ASSIGNMENTS]
"""Controls in other assignments, honest at too high a cost."""


@dataclass(frozen=True)
class Class:
    """The marked class."""

    folder: Path
    records: dict[str, Record]
    said: str
    before: dict[str, str]
    after: dict[str, str]
    processes: list[Path]
    cells: dict[str, bytes]

    def whole(self, student: str) -> str:
        """A record with its cells, as text."""
        record = self.records[student]
        return repr(record) + self.cells[student].decode()

    def page(self, student: str) -> str:
        assignment = self.records[student].submission.assignment
        return (self.folder / "feedback" / assignment / f"{page_name(student)}.html").read_text(encoding="utf-8")


def tree(folder: Path) -> dict[str, str]:
    """What lies in a folder: path to hash."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def leftovers(name: str) -> list[Path]:
    """Processes of attacks, which give themselves the name of their run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            if path.read_text().strip() == name:
                found.append(path)
    return found


def in_doubt(folder: Path) -> dict[str, list[str]]:
    """Students by assignment of whom a timed check said nothing clear: the machine was too noisy just then."""
    with Journal(journal_path(load_course(folder))) as journal:
        latest = journal.latest()
    found: dict[str, list[str]] = {}
    for (assignment, student), record in latest.items():
        if any(flag.id == "unclear" for flag in record.flags):
            found.setdefault(assignment, []).append(student)
    return found


class Tags(HTMLParser):
    """What a page consists of, as a browser reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


@pytest.fixture(scope="session")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Class:
    """Everybody hands in, and the class is marked by the command."""
    folder = tmp_path_factory.mktemp("museum") / "course"
    for part in (f"{kind}/{name}" for kind in ("assignments", "solutions") for name in ASSIGNMENTS):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("class", "wrong"))
    shutil.copy(ROOT / "course.yaml", folder)
    submitted = folder / "submitted"
    process = f"attack-{secrets.token_hex(4)}"  # the kernel keeps 15 characters of a name
    for student, answers in CONTROLS.items():
        (submitted / student / NAME).mkdir(parents=True)
        (submitted / student / NAME / f"{NAME}.ipynb").write_text(notebook(answers), encoding="utf-8")
    for attack in (*ATTACKS, *FAIR, *ELSEWHERE):
        attack.hand_in(submitted / attack.student, course=str(folder), process=process)
    packing.stray(submitted)
    assert leftovers(process) == []
    before = tree(folder)
    line = [sys.executable, "-c", "from grader.cli import main; main()"]
    environment = {**os.environ, "GRADER_SECRET_TOKEN": SECRET}
    said = ""

    def run(*command: str) -> None:
        nonlocal said
        done = subprocess.run(
            [*line, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        said += done.stdout + done.stderr

    grading = ["--seed", "20261121", "--sandbox", SANDBOX]
    for name in ASSIGNMENTS:
        run("grade", name, *grading)
    tries = 0
    while (doubted := in_doubt(folder)) and tries < TRIES:
        tries += 1
        for name, students in doubted.items():
            run("grade", name, *grading, "--force", *(f"--student={student}" for student in students))
    for verb, name in itertools.product(("feedback", "report"), ASSIGNMENTS):
        run(verb, name)
    course = load_course(folder)
    with Journal(journal_path(course)) as journal:
        records = {student: record for (_, student), record in journal.latest().items()}
        cells = {student: dump_cells(journal.cells(record)) for student, record in records.items()}
    return Class(folder, records, said, before, tree(folder), leftovers(process), cells)


def ids(attacks: list[Attack]) -> list[str]:
    return [attack.student for attack in attacks]


@pytest.mark.parametrize("attack", ATTACKS, ids=ids(ATTACKS))
def test_an_attack_gains_nothing(marked: Class, attack: Attack) -> None:
    """The score is that of the honest notebook, and the record says what happened."""
    record, honest = marked.records[attack.student], marked.records[attack.beside]
    assert record.status is RecordStatus.FINAL
    earned = {each.exercise.id: each.earned for each in record.exercises}
    due = {each.exercise.id: each.earned for each in honest.exercises}
    if attack.spoils_itself:
        assert {name: points for name, points in earned.items() if points > due[name]} == {}
    else:
        assert earned == due
    whole = marked.whole(attack.student)
    for pattern in attack.record:
        assert re.search(pattern, whole), (pattern, [flag.text for flag in record.flags])
    assert SECRET not in whole
    page = marked.page(attack.student)
    for text in attack.never:
        assert text not in page
        assert text == "INPUT-WAS [" or text not in marked.said


@pytest.mark.parametrize("fair", FAIR, ids=ids(FAIR))
def test_what_looks_odd_and_is_right_is_right(marked: Class, fair: Attack) -> None:
    """No false accusation: full marks, no flag that sounds like one."""
    record = marked.records[fair.student]
    assert record.score == FULL, [each.check.id for each in record.checks if each.earned < each.check.points][:9]
    assert {flag.id for flag in record.flags} & {"violation", "restarted", "forbidden-name"} == set()


def test_the_controls(marked: Class) -> None:
    """An honest right notebook gets everything it answers; an honest wrong one loses exactly its own points."""
    assert marked.records["honest-right"].score == FULL
    wrong = {each.exercise.id: each.earned for each in marked.records["honest-wrong"].exercises}
    assert (wrong["softmax"], wrong["one_hot"]) == (12.0, 6.0)
    assert 0 < wrong["logsumexp"] < 12
    assert set(wrong.values()) == {12.0, 6.0, wrong["logsumexp"], 0.0}


def test_the_controls_of_performance(marked: Class) -> None:
    """A quick answer gets all of its exercise; a loop and a waste of memory lose exactly what they are worth."""
    earned = {
        student: {each.check.id: each.earned for each in marked.records[student].checks}
        for student in ("honest-quick", "honest-slow", "honest-wasteful")
    }
    quick = earned["honest-quick"]
    assert sum(points for name, points in quick.items() if name.startswith("cross_entropy")) == 21
    assert {name for name in quick if earned["honest-slow"][name] < quick[name]} == {"cross_entropy_operations"}
    assert {name for name in quick if earned["honest-wasteful"][name] < quick[name]} == {"cross_entropy_memory"}


@pytest.mark.parametrize("control", ELSEWHERE, ids=ids(ELSEWHERE))
def test_the_controls_of_meters(marked: Class, control: Attack) -> None:
    """Honest work that costs too much loses exactly the checks of that cost, among those of its exercise."""
    answered = {exercise for exercise, _ in control.answers}
    checks = [each for each in marked.records[control.student].checks if each.check.exercise in answered]
    lost = {each.check.id for each in checks if each.earned < each.check.points}
    assert lost == counting.LOSES[control.student] < {each.check.id for each in checks}


def test_the_batch_goes_on(marked: Class) -> None:
    """Everybody has a record and a mark in the gradebook, and nobody is held.

    Who is called like a formula has no mark there, and that is said.
    """
    students = {
        path.name for path in (marked.folder / "submitted").iterdir() if path.is_dir() and not path.is_symlink()
    }
    assert set(marked.records) == students
    assert {record.status for record in marked.records.values()} == {RecordStatus.FINAL}
    assert {record.sandbox for record in marked.records.values()} == {SANDBOX}
    with sqlite3.connect(marked.folder / "gradebook.db") as database:
        rows = database.execute(
            "select s.student_id, sum(g.auto_score) from grade g join submitted_notebook n on g.notebook_id = n.id "
            "join submitted_assignment s on n.assignment_id = s.id group by s.student_id"
        ).fetchall()
    scores = dict(rows)
    formulas = {attack.student for attack in ATTACKS if attack.number == 57}
    due = {student: record.score for student, record in marked.records.items() if student not in formulas}
    assert due == pytest.approx(scores)
    said = " ".join(marked.said.split())  # lines are broken at the terminal's width
    assert said.count("a spreadsheet would take it for a formula") == len(formulas)


def test_nothing_outside_has_changed(marked: Class) -> None:
    """Files of the course are as before, what is new is the grader's own, and no process is left."""
    assert {path: marked.after.get(path) for path in marked.before} == marked.before
    new = {path.split("/")[0] for path in set(marked.after) - set(marked.before)}
    assert new <= {"journal", "gradebook.db", "feedback", "reports", "nbgrader"}
    assert marked.processes == []
    assert not Path("/tmp/daemon-was-here").exists()
    assert not Path("/tmp/left-behind").exists()


def test_pages_and_terminal_are_clean(marked: Class) -> None:
    """No page has a script or loads anything; nothing that was printed steers a terminal."""
    pages = [*(marked.folder / "feedback").rglob("*.html"), *(marked.folder / "reports").rglob("*.html")]
    assert len(pages) == len(marked.records) + len(ASSIGNMENTS)
    for page in pages:
        found = Tags()
        found.feed(page.read_text(encoding="utf-8"))
        assert found.tags & {"script", "iframe", "object", "embed", "form", "base"} == set()
        for name, value in found.attributes:
            assert not name.startswith("on")
            assert not re.match(r"\s*(?:\w+:)?//|\s*javascript:", value) or name == "xmlns", (page.name, name, value)
    assert not re.search("[\x00-\x08\x0b-\x1a\x1c-\x1f\u202a-\u202e]", marked.said)


def test_exported_marks_calculate_nothing(marked: Class, tmp_path: Path) -> None:
    """No cell of our own CSV files, nor of nbgrader's export of our gradebook, is one that a spreadsheet calculates."""
    made = tmp_path / "grades.csv"
    line = [sys.executable, "-m", "nbgrader", "export", f"--to={made}", f"--db=sqlite:///{marked.folder}/gradebook.db"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert made.is_file(), done.stderr
    tables = [made, *(marked.folder / "reports" / f"{name}.csv" for name in ASSIGNMENTS)]
    texts = [table.read_text(encoding="utf-8-sig") for table in tables]
    assert all("honest-right" in text for text in texts[:2])
    for text, delimiter in itertools.product(texts, ",;\t"):
        for row in csv.reader(text.splitlines(), delimiter=delimiter):
            assert [cell for cell in row if re.match(r"\s*[=+\-@]", cell)] == []


def test_every_attack_of_the_list_is_here() -> None:
    """All numbers of the list."""
    assert {attack.number for attack in [*ALL, *ALL_FAIR]} == set(range(1, 61))
    names = [attack.student for attack in [*ALL, *ALL_FAIR, *counting.CONTROLS]]
    assert len(set(names)) == len(names)
    assert all(json.loads(attack.data(course="/x")) for attack in ALL if attack.raw is None)
