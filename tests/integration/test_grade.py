"""``grader grade`` on a tiny class, through the real sandbox: what everybody gets, and what a second run does."""

import contextlib
import json
import os
import re
import shutil
import time
from pathlib import Path

import pytest
from tiny_class import TOTAL, folder_of, grader, hand_in, journal_lines, lay_out, notebook

from grader.config import load_course
from grader.jobs import MarkerProcess, order_of
from grader.marker import Step
from grader.submissions import find, load

SEED = 11
MISSING = dict.fromkeys(
    ("scale_values", "scale_contract", "scale_gradient", "total_values", "total_empty", "counter"), "MISSING"
)
SCALE_LOST = {"scale_contract": "SKIPPED", "scale_gradient": "SKIPPED"}
HAL = "x = []\nwhile True:\n    x.append(bytearray(1 << 24))"

CLASS = {
    "right": notebook(),
    "wrong": notebook(scale="def scale(x, factor):\n    return x + factor"),
    "stub": notebook(scale=None, total=None, counter=None),
    "raises": notebook(first="x = [1, 2]\nx[7]"),
    "loops": notebook(first="while True:\n    pass"),
    "leaves": notebook(first="import os\nos._exit(0)"),
    "leaves-inside": notebook(total="def total(numbers):\n    import os\n    os._exit(0)"),
    "eats": notebook(first=HAL),
    "eats-inside": notebook(
        total="def total(numbers):\n    x = []\n    while True:\n        x.append(bytearray(1 << 24))"
    ),
    "loops-inside": notebook(total="def total(numbers):\n    while True:\n        pass"),
    "prints": notebook(last="for i in range(200):\n    print('x' * 50_000)"),
    "syntax": notebook(scale="def scale(x, factor)\n    return x"),
    "empty": b"",
    "letter": b"Dear professor,\x00 my dog \xff ate it.",
}
MARKS = {
    "right": (9, {}),
    "wrong": (5, {"scale_values": "FAIL", **SCALE_LOST}),
    "stub": (0, {"scale_values": "RAISED", **SCALE_LOST, "total_values": "RAISED", "total_empty": "SKIPPED",
                 "counter": "MISSING"}),
    "raises": (9, {}),
    "loops": (9, {}),
    "leaves": (9, {}),
    "leaves-inside": (6, {"total_values": "RAISED", "total_empty": "SKIPPED"}),
    "eats": (9, {}),
    "eats-inside": (6, {"total_values": "MEMORY", "total_empty": "SKIPPED"}),
    "loops-inside": (6, {"total_values": "TIMEOUT", "total_empty": "SKIPPED"}),
    "prints": (9, {}),
    "syntax": (5, {"scale_values": "MISSING", **SCALE_LOST}),
    "empty": (0, MISSING),
    "letter": (0, MISSING),
    "renamed": (9, {}),
    "late": (8.1, {}),
    "pipe": (0, MISSING),
    "link": (0, MISSING),
    "directory": (0, MISSING),
    "nothing": (0, MISSING),
}  # fmt: skip
"""Student → points, and the verdicts of the checks that do not pass."""


def hand_in_all(course: Path) -> None:
    for student, data in CLASS.items():
        hand_in(course, student, data)
    hand_in(course, "renamed", notebook(), name="Tiny (1).ipynb")
    hand_in(course, "late", notebook(), at="2026-01-03 11:00:00 UTC")
    for student in ("pipe", "link", "directory", "nothing"):
        hand_in(course, student, b"").unlink()
    os.mkfifo(folder_of(course, "pipe") / "tiny.ipynb")
    (folder_of(course, "link") / "tiny.ipynb").symlink_to(course / "solutions" / "tiny" / "tiny.py")
    (folder_of(course, "directory") / "tiny.ipynb").mkdir()


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    """A class that was marked once: the course, and what the command said."""
    course = lay_out(tmp_path_factory.mktemp("class"))
    hand_in_all(course)
    return course, grader(course, "grade", "--json", "--seed", SEED)


@pytest.fixture
def course(marked, tmp_path):
    """A copy of the marked course, to change."""
    return Path(shutil.copytree(marked[0], tmp_path / "course", symlinks=True, copy_function=_copy))


def _copy(source, target):
    if Path(source).is_fifo():
        os.mkfifo(target)
    else:
        shutil.copy2(source, target, follow_symlinks=False)


def records(course):
    """The latest record of each student."""
    return {record["submission"]["student"]: record for record in journal_lines(course)}


def verdicts(record):
    return {result["check"]["id"]: result["verdict"] for result in record["checks"]}


def lines_without(text, *left_out):
    return [line for line in text.splitlines() if not any(word in line for word in left_out)]


# -- the first run -------------------------------------------------------------------------------------------------


def test_json_is_all_that_is_printed(marked):
    """With --json the result is one JSON object on stdout, and nothing is said beside it."""
    _, done = marked
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1
    result = json.loads(done.stdout)
    assert (result["assignment"], result["seed"], result["marked"], result["unchanged"], result["held"]) == (
        "tiny", SEED, len(MARKS), 0, 0,
    )  # fmt: skip


@pytest.mark.parametrize("student", MARKS)
def test_everybody_gets_what_they_earned(marked, student):
    """Each notebook, however it misbehaves, gets the points that its working parts earn."""
    course, done = marked
    score, not_passed = MARKS[student]
    found = next(each for each in json.loads(done.stdout)["students"] if each["student"] == student)
    assert found["score"] == pytest.approx(score)
    assert found["status"] == "final"
    assert {check: verdict for check, verdict in found["checks"].items() if verdict != "PASS"} == not_passed
    assert verdicts(records(course)[student]) == found["checks"]


def test_everybody_has_one_record(marked):
    """One submission, one line in the journal, with seed, reason, sandbox and versions."""
    course, _ = marked
    lines = journal_lines(course)
    assert sorted(record["submission"]["student"] for record in lines) == sorted(MARKS)
    for record in lines:
        assert (record["seed"], record["reason"], record["status"]) == (SEED, "first marking", "final")
        assert record["sandbox"] == "bubblewrap"
        assert {"grader", "python", "torch", "numpy"} <= set(record["hardware"]["versions"])


@pytest.mark.parametrize(
    ("student", "flag", "text"),
    [
        (
            "loops",
            "stopped-cell",
            "Cell 3: Your code used more than 1 s of computing time. The cell was stopped; the cells below were run.",
        ),
        (
            "leaves",
            "stopped-cell",
            (
                "Cell 3: Your code ended its own process. The cell was left out, and the rest of the notebook was run "
                "without it."
            ),
        ),
        ("leaves", "restarted", "The notebook ended its own process and was started again once."),
        (
            "eats",
            "stopped-cell",
            (
                "Cell 3: Your code used more memory than it may. The cell was left out, and the rest of the notebook "
                "was run without it."
            ),
        ),
        ("late", "late", "Handed in late: 1 day(s) after the deadline."),
    ],
)
def test_what_happened_to_the_notebook_is_said(marked, student, flag, text):
    """A cell that was stopped is named, with what the rest of the notebook got."""
    flags = {each["id"]: each["text"] for each in records(marked[0])[student]["flags"]}
    assert flags[flag] == text


@pytest.mark.parametrize(
    ("student", "message"),
    [
        ("pipe", "Your notebook is not a file. Hand in the .ipynb file itself."),
        ("link", "Your notebook cannot be opened: it is a link or is not readable. Hand in the file itself."),
        ("directory", "Your notebook is not a file. Hand in the .ipynb file itself."),
        ("nothing", "There is no notebook in your submission. Hand in tiny.ipynb."),
    ],
)
def test_what_is_no_notebook_is_a_sentence(marked, student, message):
    """Where there is nothing to mark, the student reads why."""
    assert records(marked[0])[student]["message"] == message


def test_a_check_that_kills_the_process_costs_that_check_only(marked):
    """os._exit, endless memory and endless time inside one function leave the checks of the others alone."""
    for student, kind in (("leaves-inside", "crash"), ("eats-inside", "memory"), ("loops-inside", "time")):
        results = {result["check"]["id"]: result for result in records(marked[0])[student]["checks"]}
        assert results["total_values"]["kind"] == kind
        assert results["total_values"]["attempts"] == 1
        assert results["counter"]["verdict"] == "PASS"


def test_what_is_printed_is_bounded(marked):
    """Of ten megabytes the first 64 KiB are kept, and the page says how much is not."""
    course, _ = marked
    from grader.gradebook.journal import Journal

    journal = Journal(course / "journal" / "records.jsonl")
    cells = journal.cells(journal.latest()["tiny", "prints"])
    text = "".join(output.text for output in cells[-1].outputs)
    assert 64 << 10 <= len(text) < 70 << 10
    assert re.search(r"… \d+ more characters not kept\n$", text)


def test_the_marks_are_in_the_gradebook(marked):
    """nbgrader's gradebook holds a row for everybody."""
    import sqlite3

    with sqlite3.connect(marked[0] / "gradebook.db") as book:
        (count,) = book.execute("select count(*) from submitted_assignment").fetchone()
    assert count == len(MARKS)


# -- runs after that -------------------------------------------------------------------------------------------------


def test_what_has_not_changed_is_not_marked_again(marked):
    """A second run marks nothing, starts nothing and shows the same table."""
    course, done = marked
    before = (course / "journal" / "records.jsonl").read_bytes()
    again = grader(course, "grade", "--json")
    first, second = json.loads(done.stdout), json.loads(again.stdout)
    assert (again.returncode, second["marked"], second["unchanged"]) == (0, 0, len(MARKS))
    assert second["students"] == first["students"]
    assert (course / "journal" / "records.jsonl").read_bytes() == before


def test_strict_says_that_a_check_failed(marked):
    """With --strict a class in which a check failed ends with exit code 1; a student without a fault does not."""
    course, _ = marked
    assert grader(course, "grade", "--strict").returncode == 1
    assert grader(course, "grade", "--strict", "--student", "right").returncode == 0
    assert grader(course, "grade", "--strict", "--student", "wrong").returncode == 1


@pytest.mark.parametrize("columns", [120, 80, 40])
def test_the_table_fits_the_terminal(marked, columns):
    """At any usual width each student has a line with the points in all, and no line is wider than the terminal."""
    shown = grader(marked[0], "grade", COLUMNS=str(columns))
    assert shown.stderr == ""
    assert "\x1b" not in shown.stdout
    lines = shown.stdout.splitlines()
    assert max(map(len, lines)) <= columns
    assert ("counter" in shown.stdout) == (columns > 40)
    for student, (score, _) in MARKS.items():
        assert any(re.match(rf"{student} +{score:g}(\s|$)", line) for line in lines), student
    assert re.search(rf"0 marked in [\d.]+ s, {len(MARKS)} unchanged\.$", " ".join(shown.stdout.split()))


def test_a_changed_submission_is_marked_again(course):
    """Only what changed is marked, with its reason; progress without a terminal is plain lines on stderr."""
    hand_in(course, "wrong", notebook())
    hand_in(course, "new", notebook(total=TOTAL.replace("sum(numbers)", "max(numbers)")))
    done = grader(course, "grade", "--seed", SEED, NO_COLOR="1", TERM="xterm-256color")
    assert done.returncode == 0
    first = rf"A tiny assignment: 2 to mark, {len(MARKS) - 1} unchanged; \d+ at a time \(.+\); making ready …"
    assert re.fullmatch(first, done.stderr.splitlines()[0])
    assert re.fullmatch(r"2/2 marked \(\d+/min, 0 s left\)", done.stderr.splitlines()[-1])
    assert "\x1b" not in done.stdout + done.stderr
    assert re.search(rf"2 marked in [\d.]+ s, {len(MARKS) - 1} unchanged. Run seed {SEED}.", done.stdout)
    added = journal_lines(course)[len(MARKS) :]
    assert {(record["submission"]["student"], record["reason"], record["score"]) for record in added} == {
        ("wrong", "submission changed", 9.0), ("new", "first marking", 6.0),
    }  # fmt: skip


def test_a_seed_replays_marks_exactly(course):
    """--force with the run's seed gives the same verdicts, words and evidence again."""
    students = ("right", "wrong", "stub", "leaves-inside")
    before = records(course)
    wanted = [part for student in students for part in ("--student", student)]
    done = grader(course, "grade", "--force", "--seed", SEED, "--json", *wanted)
    assert [each["student"] for each in json.loads(done.stdout)["students"]] == sorted(students)
    assert json.loads(done.stdout)["marked"] == len(students)
    after = records(course)
    for student in students:
        assert after[student]["reason"] == "asked"
        assert _told(after[student]) == _told(before[student])
        assert after[student]["marked_at"] > before[student]["marked_at"]
    assert len(journal_lines(course)) == len(MARKS) + len(students)


def _told(record):
    return [{key: value for key, value in result.items() if key != "seconds"} for result in record["checks"]]


def test_whatever_a_mark_depends_on_marks_again(course):
    """When a check changes it is due again, when a limit or given code does, all is; a title or comment does not."""
    from grader.config import load_course
    from grader.gradebook.journal import Journal
    from grader.jobs import queue

    def due(*due_again):
        loaded = load_course(course / "course.yaml")
        todo, kept = queue(loaded, loaded.assignment("tiny"), Journal(course / "journal" / "records.jsonl"))
        assert len(todo) + len(kept) == len(MARKS)
        assert {job.only for job in todo} <= {None, frozenset(due_again)}
        return {job.reason for job in todo}

    def change(path, old, new, *due_again):
        before = path.read_text()
        assert old in before
        path.write_text(before.replace(old, new))
        found = due(*due_again)
        path.write_text(before)
        return found

    assert due() == set()
    assert change(course / "course.yaml", "A tiny assignment", "A small assignment") == set()
    assert change(course / "course.yaml", "memory: 256 MiB", "memory: 512 MiB") == {"assignment changed"}
    assert change(course / "solutions" / "tiny" / "tiny.py", "return sum", "return 0 + sum") == {"assignment changed"}
    hidden, public = (
        course / "solutions" / "tiny" / "test_hidden.py",
        course / "assignments" / "tiny" / "test_public.py",
    )
    assert change(hidden, "counter = student", "# a comment\n    counter = student") == set()
    assert change(hidden, "calls, 2)", "calls, 2.0)", "counter") == {"checks changed"}
    assert change(hidden, "7.5)", "7.5, what='it')", "total_values", "total_empty") == {"checks changed"}
    assert change(public, "Multiply", "Think", "scale_values", "scale_contract", "scale_gradient") == {"checks changed"}
    (course / "assignments" / "tiny" / "given.py").write_text("")
    assert due() == {"assignment changed"}


def test_a_gradebook_that_is_behind_is_brought_up_to_date(course):
    """A gradebook that lacks marks of the journal's, because a run was killed or wrote none, is written again."""
    book = course / "gradebook.db"
    book.unlink()
    assert grader(course, "grade", "--no-gradebook").returncode == 0
    assert not book.exists()
    assert grader(course, "grade").returncode == 0
    assert book.exists()


def test_a_gradebook_that_was_being_written_is_written_again(course):
    """A run that is killed in the midst leaves a gradebook that is newer than the journal and lacks marks all the same.

    So does the run of another assignment after one that was killed.
    """
    import sqlite3

    from grader.gradebook.database import Gradebook

    book = course / "gradebook.db"
    assert grader(course, "grade", "--force", "--student", next(iter(MARKS)), "--no-gradebook").returncode == 0
    book.unlink()
    Gradebook(f"sqlite:///{book}").sync([])  # the first step of writing it, and no more
    assert book.stat().st_mtime_ns > (course / "journal" / "records.jsonl").stat().st_mtime_ns
    assert grader(course, "grade").returncode == 0
    with contextlib.closing(sqlite3.connect(book)) as database:
        (count,) = database.execute("select count(*) from submitted_assignment").fetchone()
    assert count == len(MARKS)
    assert not list((course / "journal").glob("gradebook-is-behind*"))


def test_no_room_for_formgrader_is_a_sentence(course):
    """When its folder cannot be written the marks are safe, and the error says where it happened."""
    shutil.rmtree(course / "nbgrader")
    (course / "nbgrader").write_text("in the way")
    (course / "gradebook.db").unlink()
    done = grader(course, "grade")
    assert done.returncode == 2
    assert "the file cannot be written: " in done.stderr
    assert "Traceback" not in done.stderr
    assert (course / "gradebook.db").exists()


# -- what is wrong with a course or a command ------------------------------------------------------------------------


def refused(course, *args):
    """Run a command that must not mark anything: exit code and what was said."""
    before = len(journal_lines(course))
    done = grader(course, "grade", *args)
    assert len(journal_lines(course)) == before
    assert done.stdout == ""
    said = lines_without(done.stderr, "making ready")
    return done.returncode, "\n".join(said)


@pytest.fixture
def small(tmp_path):
    """A course with one submission, not marked yet."""
    course = lay_out(tmp_path)
    hand_in(course, "ada", notebook())
    return course


def test_a_reference_that_fails_stops_everything(small):
    """Nobody is marked by a check that the reference does not pass; the error names the check and why."""
    hidden = small / "solutions" / "tiny" / "test_hidden.py"
    hidden.write_text(hidden.read_text().replace("close(counter.calls, 2)", "close(counter.calls, 3)"))
    assert refused(small, "--seed", SEED) == (
        3,
        (
            f"grader: {small}/solutions/tiny/tiny.py: the reference solution does not pass 1 of 6 checks\n"
            "    counter: FAIL The value of the result is off. grader.wall.faults.Mismatch: The value of the result is "
            "off.\n2 != 3\n"
            f"  → mend the solution or the check; `grader grade --seed {SEED}` shows the same again"
        ),
    )


def test_a_missing_check_file_stops_everything(small):
    """A course without its hidden checks marks nobody."""
    (small / "solutions" / "tiny" / "test_hidden.py").unlink()
    assert refused(small) == (
        3,
        (
            "grader: solutions/tiny/test_hidden.py: there is no such check file\n"
            "  → write it, or see docs/writing-checks.md"
        ),
    )


def test_a_broken_course_file_stops_everything(small):
    """A mistake in course.yaml is told with line and key; with --json as JSON too."""
    file = small / "course.yaml"
    file.write_text(file.read_text().replace("memory: 256 MiB", "memmory: 256 MiB"))
    code, said = refused(small)
    assert (code, said.splitlines()[0]) == (
        3,
        "grader: course.yaml:18 assignments[0].limits.memmory: memmory is no key known here; did you mean memory?",
    )
    done = grader(small, "grade", "--json")
    assert json.loads(done.stdout)["error"] == "CourseError"
    assert json.loads(done.stdout)["place"] == "course.yaml:18 assignments[0].limits.memmory"


def test_asking_for_somebody_who_is_not_there(small):
    """A student without a submission, and a course without any, are told where to look."""
    assert refused(small, "--student", "bob") == (
        2,
        "grader: bob has handed in nothing for tiny\n  → looked in " + str(small / "submitted" / "bob" / "tiny"),
    )
    shutil.rmtree(small / "submitted")
    assert refused(small) == (
        2,
        (
            f"grader: {small}/submitted: there are no submissions for tiny\n"
            "  → put them at submitted/<student>/tiny/tiny.ipynb"
        ),
    )


def test_large_notebooks_do_not_wait_for_large_records(small):
    """Both may be larger than what fits between two processes, and be under way at once: nobody waits for ever."""
    settings = small / "course.yaml"
    settings.write_text(settings.read_text().replace("output: 64 KiB", "output: 2 MiB"))
    content = json.loads(notebook(first="print('x' * 1_000_000)"))
    content["metadata"]["picture"] = "A" * 4_000_000
    for student in ("ada", *"bcdefgh"):
        hand_in(small, student, json.dumps(content).encode())
    course = load_course(small)
    assignment = course.assignment("tiny")
    order, _ = order_of(course, assignment, seed=1)
    submissions = [load(*place, "tiny", small) for place in find(course.submitted, "tiny")]
    with MarkerProcess(order) as marker:
        marker.ready()
        marker.hand(0, submissions[0], "")
        assert marker.take() == (0, Step.BEGIN)
        time.sleep(3)  # until its record is under way; were it not, nothing would be shown, and nothing fails
        for number, submission in enumerate(submissions[1:], 1):
            marker.hand(number, submission, "")
        news = [marker.take()[1] for _ in range(2 * len(submissions) - 1)]
    assert sum(getattr(each, "score", 0) == 9.0 for each in news) == len(submissions)
