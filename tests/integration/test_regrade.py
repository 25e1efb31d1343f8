"""``grader regrade`` and ``grader grade`` after a change, through the real sandbox: what is marked again, and how."""

import contextlib
import json
import os
import pty
import sqlite3
import subprocess

import pytest
from tiny_class import command, grader, hand_in, journal_lines, lay_out, notebook

CLASS = {
    "ada": notebook(),
    "ben": notebook(scale="def scale(x, factor):\n    return x + factor"),
    "cy": notebook(total="def total(numbers):\n    return sum(numbers)"),
}
NO_ERROR = "    with pytest.raises(ValueError):\n        student.total([])"
ZERO = "    close(student.total([]), 0)"
REASON = "an empty sum may be 0"


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A class that was marked, then one check was mended and the class marked again."""
    course = lay_out(tmp_path_factory.mktemp("class"))
    for student, data in CLASS.items():
        hand_in(course, student, data)
    assert grader(course, "grade", "--seed", 1).returncode == 0
    solution = course / "solutions" / "tiny"
    hidden = (solution / "test_hidden.py").read_text()
    assert NO_ERROR in hidden
    (solution / "test_hidden.py").write_text(hidden.replace("raises(ValueError)", "raises((ValueError, TypeError))"))
    done = grader(course, "grade", "--json", "--seed", 2)
    assert (done.returncode, json.loads(done.stdout)["marked"]) == (0, 3)
    return course


def latest(course):
    return {line["submission"]["student"]: line for line in journal_lines(course)}


def verdicts(record):
    return {each["check"]["id"]: each["verdict"] for each in record["checks"]}


def auto_scores(course):
    query = """
        select submitted_assignment.student_id, sum(grade.auto_score) from grade
        join submitted_notebook on submitted_notebook.id = grade.notebook_id
        join submitted_assignment on submitted_assignment.id = submitted_notebook.assignment_id group by 1
    """
    with sqlite3.connect(course / "gradebook.db") as book:
        return dict(book.execute(query).fetchall())


def test_a_changed_check_is_all_that_is_run_again(course):
    """After a check was edited, only its verdicts are new; the others, the cells and the run's seed are kept."""
    first, second = journal_lines(course)[:3], journal_lines(course)[3:6]
    for before, after in zip(sorted(first, key=by_student), sorted(second, key=by_student), strict=True):
        assert after["reason"] == "checks changed"
        assert (before["seed"], after["seed"], after["cells"]) == (1, 1, before["cells"])
        assert after["timing"] == before["timing"]
        for old, new in zip(before["checks"], after["checks"], strict=True):
            if old["check"]["id"] == "total_empty":
                assert (new["seed"], new["check"]["source_hash"] != old["check"]["source_hash"]) == (2, True)
            else:
                assert new == old
        assert after["revisions"] == []


def by_student(line):
    return line["submission"]["student"]


def test_a_due_date_starts_no_marker(course):
    """A new due date adds up anew and runs nothing: the class is done before any sandbox could have started."""
    path = course / "course.yaml"
    before = path.read_text()
    path.write_text(before.replace("2026-01-02 12:00", "2025-12-31 13:00"))
    done = grader(course, "grade", "--json", "--no-gradebook")
    path.write_text(before)
    back = grader(course, "grade", "--json", "--no-gradebook")
    for result, scores in ((done, [8.1, 4.5, 7.2]), (back, [9.0, 5.0, 8.0])):
        said = json.loads(result.stdout)
        assert (said["marked"], said["sandbox"], said["ready_after_s"]) == (3, "", 0.0)
        assert [each["score"] for each in said["students"]] == pytest.approx(scores)
    revisions = latest(course)["ada"]["revisions"]
    assert [(each["score_before"], each["score_after"], each["changes"]) for each in revisions] == [
        (9.0, pytest.approx(8.1), []), (pytest.approx(8.1), 9.0, []),
    ]  # fmt: skip


def test_an_extension_adds_up_one_students_points_anew(course):
    """Whoever has more time loses nothing for it; nobody else's record is touched, and nothing is run."""
    path = course / "course.yaml"
    before = path.read_text()
    late = before.replace("2026-01-02 12:00", "2025-12-31 13:00")
    path.write_text(late)
    assert grader(course, "grade", "--json", "--no-gradebook").returncode == 0
    more = "due: 2025-12-31 13:00\n    extensions: {ben: 2026-01-02 12:00, adda: 2026-01-02 12:00}"
    path.write_text(late.replace("due: 2025-12-31 13:00", more))
    done = grader(course, "grade", "--json", "--no-gradebook")
    said = json.loads(done.stdout)
    assert (said["marked"], said["unchanged"], said["sandbox"]) == (1, 2, "")
    assert {name: line["score"] for name, line in latest(course).items()} == pytest.approx(
        {"ada": 8.1, "ben": 5.0, "cy": 7.2}
    )
    assert [flag["id"] for flag in latest(course)["ben"]["flags"]] == []
    assert "extensions names adda: nothing was handed in under that id" in done.stderr
    again = json.loads(grader(course, "grade", "--json", "--no-gradebook", "--force", "--student", "ben").stdout)
    assert (again["marked"], latest(course)["ben"]["score"]) == (1, 5.0)
    assert json.loads(grader(course, "grade", "--json", "--no-gradebook").stdout)["marked"] == 0
    path.write_text(before)
    assert json.loads(grader(course, "grade", "--json", "--no-gradebook").stdout)["marked"] == 3


def test_regrade_shows_first_and_writes_when_told(course):
    """Without a terminal and --yes nothing is written; with it the changes, their reason and the gradebook are."""
    path = course / "solutions" / "tiny" / "test_hidden.py"
    path.write_text(path.read_text().replace("raises((ValueError, TypeError))", "raises(ValueError)"))
    path.write_text(path.read_text().replace(NO_ERROR, ZERO))
    given = course / "solutions" / "tiny" / "tiny.py"
    given.write_text(given.read_text().replace("raise ValueError", "return 0  # raise ValueError"))
    before = (course / "journal" / "records.jsonl").read_bytes()

    chosen = ("regrade", "--check", "total_e*", "--student", "?y", "--student", "ada", "--reason", REASON)
    shown = grader(course, *chosen)
    assert shown.returncode == 0, shown.stderr
    lines = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    assert lines[1:3] == ["ada total_empty PASS → RAISED 1 → 0 9 → 8", "cy total_empty FAIL → PASS 0 → 1 8 → 9"]
    assert lines[-1] == "Nothing is written. To write it: --yes."
    assert (course / "journal" / "records.jsonl").read_bytes() == before

    done = grader(course, *chosen, "--yes", "--json")
    said = json.loads(done.stdout)
    assert (done.stderr, said["written"], said["students"], said["checks"]) == ("", True, 2, 2)
    assert [(each["student"], each["score"]) for each in said["changed"]] == [
        ("ada", {"before": 9.0, "after": 8.0}), ("cy", {"before": 8.0, "after": 9.0}),
    ]  # fmt: skip
    assert (course / "journal" / "records.jsonl").read_bytes().startswith(before)
    marks = latest(course)
    assert marks["ben"]["reason"] != REASON
    for student, verdict in (("ada", "RAISED"), ("cy", "PASS")):
        last = marks[student]["revisions"][-1]
        assert (marks[student]["reason"], last["reason"], last["changes"][0]["after"]) == (REASON, REASON, verdict)
    assert auto_scores(course) == {"ada": 8.0, "ben": 5.0, "cy": 9.0}

    report = grader(course, "report", "--json")
    page = (course / json.loads(report.stdout)["report"]).read_text()
    assert REASON in page


def on_terminal(course, answer, *args):
    """What a command writes to a terminal when its question is answered so, and its exit code."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command(*args), cwd=course, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )  # fmt: skip
    os.close(theirs)
    written = b""
    with contextlib.suppress(OSError), open(ours, "r+b", buffering=0) as screen:  # noqa: PTH123 - a descriptor has no path
        while part := screen.read(1 << 16):
            written += part
            if b"[y/N]" in written and answer:
                screen.write(answer)
                answer = b""
    return written.decode(), process.wait(60)


def test_at_a_terminal_it_asks(course):
    """What would change is on the screen when the question comes, nothing writes over it, and no means no."""
    before = (course / "journal" / "records.jsonl").read_bytes()
    path = course / "solutions" / "tiny" / "test_hidden.py"
    was = path.read_text()
    twice = "    counter.count()\n    counter.count()\n"
    assert twice in was
    path.write_text(was.replace(twice, twice[: len(twice) // 2]))
    solution = course / "solutions" / "tiny" / "tiny.py"
    known = solution.read_text()
    solution.write_text(known.replace("calls += 1", "calls += 2"))
    said, code = on_terminal(course, b"n\n", "regrade", "--check", "counter", "--student", "ada", "--reason", "?")
    path.write_text(was)
    solution.write_text(known)
    assert code == 0, said
    asked = said[said.index("verdict") :]
    assert asked.index("PASS → FAIL") < asked.index("Write this? It changes 1 score. [y/N]: n")
    assert "at a time" not in asked
    assert "Nothing is written." in asked
    assert (course / "journal" / "records.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (("--check", "total_emtpy"), "--check 'total_emtpy' is in no mark\n  → did you mean total_empty?"),
        (("--student", "zoe"), "--student 'zoe' is in no mark\n  → one of ada, ben, cy"),
        (("--verdict", "memory"), "no mark fits all of these selectors\n  → leave one of them out"),
    ],
)
def test_a_selection_of_nothing_is_an_error(course, wish, said):
    """A selector that fits nothing is named, and nothing is started."""
    done = grader(course, "regrade", *wish, "--reason", "?")
    assert done.returncode == 2
    assert done.stderr.startswith(f"grader: {said}")


def test_a_reason_is_needed(course):
    """No mark is changed without a reason."""
    assert grader(course, "regrade", "--student", "ada").returncode == 2
    done = grader(course, "regrade", "--student", "ada", "--reason", "  ")
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, "grader: a changed mark needs a reason")


def test_a_submission_that_was_replaced_is_not_regraded(course):
    """What was handed in anew has to be marked as a whole first: it is named and passed over."""
    hand_in(course, "ben", notebook())
    done = grader(course, "regrade", "--student", "ben", "--reason", "?", "--json")
    said = json.loads(done.stdout)
    assert said["passed_over"] == {"ben": "the submission has changed since: run `grader grade`"}
    assert (said["written"], said["students"], said["changed"]) == (False, 0, [])
