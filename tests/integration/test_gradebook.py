"""nbgrader's gradebook as we fill it, read with nbgrader's own programs; on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import csv
import os
import pathlib
import pwd
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, create_engine, event, inspect, text

from grader.errors import JournalError
from grader.gradebook.database import AssignmentFacts, Gradebook, autograded_path, rebuild
from grader.gradebook.journal import Journal
from grader.model import CheckResult, CheckSpec, ExerciseSpec, Record, SubmissionRef, Verdict
from grader.scoring import Lateness, score

DUE = datetime(2026, 3, 3, 18, 0, tzinfo=UTC)
SOFTMAX = ExerciseSpec(id="softmax", title="Softmax", points=6.0)
LOSS = ExerciseSpec(id="cross_entropy", title="Cross-entropy", points=5.0, manual_points=2.0)
ESSAY = ExerciseSpec(id="essay", title="Why", points=1.5, manual_points=1.5)
EXERCISES = (SOFTMAX, LOSS, ESSAY)
NAME = "softmax-regression"
FACTS = AssignmentFacts(name=NAME, exercises=EXERCISES, due=DUE)

nbgraders_own_warning = pytest.mark.filterwarnings(
    # nbgrader's add_submission builds rows outside the session and lets autoflush pass them by; it adds them later
    "ignore:Object of type <Submitted(Assignment|Notebook)> not in session:sqlalchemy.exc.SAWarning"
)


def make(
    student="ada", *, passed=("softmax", "cross_entropy"), name=None, late=timedelta(hours=-1), broken=False, **more
):
    """A record as the pipeline makes it, through the real scoring."""
    exercises = more.pop("exercises", EXERCISES)
    results = []
    for exercise in exercises:
        points = exercise.points - exercise.manual_points
        if points:
            check = CheckSpec(id=f"{exercise.id}_values", exercise=exercise.id, points=points, line="It holds.")
            verdict = Verdict.PASS if exercise.id in passed else Verdict.FAIL
            results.append(CheckResult(check=check, verdict=verdict, earned=points))
    if broken:
        results[0] = replace(results[0], verdict=Verdict.BROKEN, earned=0.0)
    lateness = Lateness(received_at=DUE + late, due=DUE, percent_per_day=10, max_days=5)
    scored = score(results, exercises, lateness=lateness)
    ref = SubmissionRef(
        student=student,
        name=name or student,
        assignment=more.pop("assignment", NAME),
        path=f"submitted/{student}",
        sha256="a" * 64,
        received_at=(DUE + late).isoformat(),
    )
    return Record(
        submission=ref,
        status=scored.status,
        score=scored.score,
        max_score=scored.max_score,
        checks=tuple(results),
        exercises=scored.exercises,
        steps=scored.steps,
        **more,
    )


CLASS = (
    make("ada", name="Ada Lovelace"),
    make("bob", passed=("softmax",), late=timedelta(hours=30)),
    make("carol", passed=()),
    make("dan", broken=True),
    make("eve", late=timedelta(days=9)),
)

# ── databases ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server of our own, on a socket in a temporary folder; yields its folder."""
    pytest.importorskip("psycopg", reason="no PostgreSQL driver: pip install 'psycopg[binary]'")
    binaries = [shutil.which("initdb"), *map(str, sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb")))]
    initdb = next((path for path in reversed(binaries) if path), None)
    if initdb is None:
        pytest.skip("PostgreSQL is not installed")
    owner = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        known = {entry.pw_name for entry in pwd.getpwall()}
        user = next((name for name in ("postgres", "nobody") if name in known), None)
        if user is None:
            pytest.skip("PostgreSQL does not run as root, and there is no other user")
        owner = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
    folder = pathlib.Path(tempfile.mkdtemp(prefix="pg"))
    if owner:
        shutil.chown(folder, owner["user"])
    control = [str(pathlib.Path(initdb).with_name("pg_ctl")), "-D", str(folder / "data"), "-w"]

    def run(*command):
        subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=True, **owner)

    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
    try:
        run(initdb, "-D", str(folder / "data"), "-U", "grader", "-A", "trust", "-E", "UTF8")
        run(*control, "-o", options, "-l", str(folder / "log"), "start")
        try:
            yield folder
        finally:
            run(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def sqlite_url(tmp_path):
    return f"sqlite:///{tmp_path}/gradebook.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """An SQLAlchemy URL of an empty database."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_url")
        return
    folder = request.getfixturevalue("postgres")
    server = f"postgresql+psycopg://grader@/postgres?host={folder}"
    name = f"g{tmp_path.name.lower()}"
    for_all = create_engine(server, isolation_level="AUTOCOMMIT")
    with for_all.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    yield server.replace("/postgres?", f"/{name}?")
    with for_all.connect() as connection:
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    for_all.dispose()


def tables(url):
    """Every row of every table, in one order."""
    engine = create_engine(url)
    with engine.connect() as connection:
        content = {
            name: sorted(map(repr, connection.execute(text(f'SELECT * FROM "{name}"')).mappings()))
            for name in inspect(connection).get_table_names()
        }
    engine.dispose()
    return content


def opened(url):
    from nbgrader.api import Gradebook as NbGraderGradebook

    return NbGraderGradebook(url)


def marks(url, student, assignment=NAME):
    """What nbgrader says of one submission: cell → (auto, manual, extra, needs a person)."""
    with opened(url) as gradebook:
        (notebook,) = gradebook.find_submission(assignment, student).notebooks
        return {
            grade.name: (grade.auto_score, grade.manual_score, grade.extra_credit, grade.needs_manual_grade)
            for grade in notebook.grades
        }


def by_hand(url, student, cell, **values):
    """What a person does in formgrader."""
    with opened(url) as gradebook:
        grade = gradebook.find_grade(cell, NAME, NAME, student)
        for name, value in values.items():
            setattr(grade, name, value)
        grade.needs_manual_grade = grade.manual_score is None and grade.auto_score is None
        gradebook.db.commit()


# ── what nbgrader reads ──────────────────────────────────────────────────────────────────────────────────────────


def test_marks_of_every_kind(url):
    """Final, late, failed, held and refused submissions read in nbgrader as they were marked."""
    result = Gradebook(url).sync(CLASS, [FACTS])
    assert (result.submissions, result.added, result.changed, result.held, result.notices) == (5, 5, 0, 1, ())
    waits = (None, None, None, True)
    assert marks(url, "ada") == {
        "softmax": (6.0, None, None, False),
        "cross_entropy": (3.0, None, None, False),
        "cross_entropy-manual": waits,
        "essay-manual": waits,
    }
    assert marks(url, "carol")["softmax"] == (0.0, None, None, False)
    assert set(marks(url, "dan").values()) == {waits}
    assert marks(url, "eve")["essay-manual"] == (0.0, None, None, False)
    with opened(url) as gradebook:
        found = {student.id: gradebook.find_submission(NAME, student.id) for student in gradebook.students}
        assert {student: item.score - item.late_submission_penalty for student, item in found.items()} == pytest.approx(
            {record.submission.student: record.score or 0.0 for record in CLASS}
        )
        assert found["bob"].late_submission_penalty == pytest.approx(1.2)
        assert found["bob"].total_seconds_late == 30 * 3600
        assert found["bob"].notebooks[0].failed_tests
        assert {item.max_score for item in found.values()} == {12.5}
        assert found["ada"].needs_manual_grade
        assert not found["eve"].needs_manual_grade
        ada = gradebook.find_student("ada")
        assert (ada.first_name, ada.last_name) == ("Ada", "Lovelace")
        assert gradebook.find_student("bob").last_name is None


@nbgraders_own_warning
def test_rows_are_those_that_nbgrader_makes(tmp_path, sqlite_url, monkeypatch):
    """Made through nbgrader's own API, the same class gives the same tables, ids and all the rest aside."""
    monkeypatch.setenv("PATH", f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    Gradebook(sqlite_url).sync(CLASS, [FACTS])
    theirs = f"sqlite:///{tmp_path}/theirs.db"
    with opened(theirs) as gradebook:
        gradebook.add_assignment(NAME, duedate=DUE)
        python = '{"display_name": "Python 3", "language": "python", "name": "python3"}'
        gradebook.add_notebook(NAME, NAME, kernelspec=python)
        for cell, kind, points in (
            ("softmax", "code", 6),
            ("cross_entropy", "code", 3),
            ("cross_entropy-manual", "markdown", 2),
            ("essay-manual", "markdown", 1.5),
        ):
            gradebook.add_grade_cell(cell, NAME, NAME, max_score=points, cell_type=kind)
            gradebook.add_solution_cell(cell, NAME, NAME)
        for record in CLASS:
            ref = record.submission
            names = {"first_name": "Ada", "last_name": "Lovelace"} if ref.name != ref.student else {}
            gradebook.update_or_create_student(ref.student, **names)
            submission = gradebook.add_submission(NAME, ref.student, timestamp=ref.received_at)
            if record.is_held:
                continue
            for item in record.exercises:
                if item.exercise is not ESSAY:
                    grade = gradebook.find_grade(item.exercise.id, NAME, NAME, ref.student)
                    grade.auto_score, grade.needs_manual_grade = item.earned, False
                if item.exercise.manual_points and not item.pending:
                    grade = gradebook.find_grade(f"{item.exercise.id}-manual", NAME, NAME, ref.student)
                    grade.auto_score, grade.needs_manual_grade = 0.0, False
            penalty = submission.score - record.score
            submission.notebooks[0].late_submission_penalty = round(penalty, 6) if penalty > 1e-9 else None
            gradebook.db.commit()

    def described(url):
        with opened(url) as gradebook:
            submissions = [gradebook.find_submission(NAME, record.submission.student) for record in CLASS]
            notebooks = [notebook for submission in submissions for notebook in submission.notebooks]
            things = [
                *gradebook.students,
                *gradebook.assignments,
                *submissions,
                *notebooks,
                *sorted((grade for item in notebooks for grade in item.grades), key=repr),
                *sorted((comment for item in notebooks for comment in item.comments), key=repr),
                *sorted((cell for item in gradebook.assignments[0].notebooks for cell in item.grade_cells), key=repr),
                *gradebook.assignments[0].notebooks,
            ]
            penalties = [notebook.late_submission_penalty for notebook in notebooks]
            keyed = [repr(thing) for thing in things]
            return keyed, [{k: v for k, v in thing.to_dict().items() if k != "id"} for thing in things], penalties

    assert described(sqlite_url) == described(theirs)
    ours, others = tables(sqlite_url), tables(theirs)
    assert ours["alembic_version"] == others["alembic_version"]
    assert {name: len(rows) for name, rows in ours.items()} == {name: len(rows) for name, rows in others.items()}


def test_nbgrader_export_reads_our_marks(tmp_path, url):
    """`nbgrader export`, the real program, writes a CSV file with our scores, penalties and times."""
    Gradebook(url).sync(CLASS, [FACTS])
    env = os.environ | {"HOME": str(tmp_path), "JUPYTER_CONFIG_DIR": str(tmp_path), "JUPYTER_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "nbgrader", "export", "--db", url, "--to", "grades.csv"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "grades.csv").open(newline="") as file:
        rows = {row["student_id"]: row for row in csv.DictReader(file)}
    assert {student: float(row["score"]) for student, row in rows.items()} == pytest.approx(
        {record.submission.student: record.score or 0.0 for record in CLASS}
    )
    assert float(rows["bob"]["late_submission_penalty"]) == pytest.approx(1.2)
    assert rows["bob"]["timestamp"] == "2026-03-05 00:00:00"
    assert rows["ada"]["duedate"] == "2026-03-03 18:00:00"
    assert {row["max_score"] for row in rows.values()} == {"12.5"}


def test_formgrader_lists_our_marks(tmp_path, url):
    """What formgrader shows (submissions, notebooks to mark by hand, students, averages) is what we marked."""
    from nbgrader.apps.api import NbGraderAPI
    from traitlets.config import Config

    Gradebook(url).sync(CLASS, [FACTS])
    (tmp_path / "source" / NAME).mkdir(parents=True)
    for record in CLASS:
        path = autograded_path(tmp_path, record.submission.student, NAME)
        path.parent.mkdir(parents=True)
        path.write_text("{}")
    config = Config()
    config.CourseDirectory.root = str(tmp_path)
    config.CourseDirectory.db_url = url
    config.Exchange.root = str(tmp_path / "exchange")
    api = NbGraderAPI(config=config)
    submissions = {item["student"]: item for item in api.get_submissions(NAME)}
    assert {student: item["score"] for student, item in submissions.items()} == {
        "ada": 9.0, "bob": 6.0, "carol": 0.0, "dan": 0.0, "eve": 9.0,
    }  # fmt: skip
    assert {student for student, item in submissions.items() if item["needs_manual_grade"]} == set(submissions) - {
        "eve"
    }
    assert all(item["autograded"] for item in submissions.values())
    notebooks = api.get_notebook_submissions(NAME, NAME)
    assert {item["student"] for item in notebooks} == set(submissions)
    assert {item["student"] for item in notebooks if item["failed_tests"]} == {"bob", "carol"}
    assert [item["id"] for item in api.get_student_notebook_submissions("ada", NAME)] != [None]
    (assignment,) = api.get_assignments()
    assert (assignment["max_score"], assignment["max_code_score"], assignment["max_written_score"]) == (12.5, 9.0, 3.5)
    assert assignment["average_score"] == pytest.approx(24 / 5)
    assert {student["id"] for student in api.get_students()} == set(submissions)


# ── again, and by hand ───────────────────────────────────────────────────────────────────────────────────────────


def test_second_sync_changes_nothing(url):
    """The same records once more leave every row as it is."""
    Gradebook(url).sync(CLASS, [FACTS])
    before = tables(url)
    result = Gradebook(url).sync(CLASS, [FACTS])
    assert (result.submissions, result.added, result.changed) == (5, 0, 0)
    assert tables(url) == before


def test_rebuilt_database_is_the_same_database(tmp_path, url):
    """Synced record by record or rebuilt from the journal in one go: the same rows with the same ids."""
    with Journal(tmp_path / "journal.jsonl") as journal:
        for record in (make("bob", broken=True), *CLASS[:1], make("carol", late=timedelta(days=2)), *CLASS[1:]):
            journal.append(record)
            Gradebook(url).sync([record], [FACTS])
        again = f"sqlite:///{tmp_path}/again/gradebook.db"
        assert rebuild(journal, again, [FACTS]).added == 5
    ours, rebuilt = tables(url), tables(again)
    if url.startswith("sqlite"):
        assert rebuilt == ours
    assert {name: len(rows) for name, rows in rebuilt.items()} == {name: len(rows) for name, rows in ours.items()}
    for record in CLASS:
        assert marks(again, record.submission.student) == marks(url, record.submission.student)


def test_what_a_person_entered_survives(url):
    """Marks, extra credit, comments, flags, extensions, names and dates given in nbgrader outlive any sync."""
    facts = replace(FACTS, due=None)
    Gradebook(url).sync([make("ada")], [facts])
    by_hand(url, "ada", "softmax", manual_score=5.5, extra_credit=0.5)
    by_hand(url, "ada", "essay-manual", manual_score=1.0)
    with opened(url) as gradebook:
        gradebook.find_comment("softmax", NAME, NAME, "ada").manual_comment = "Well done"
        gradebook.find_submission(NAME, "ada").notebooks[0].flagged = True
        gradebook.grant_extension(NAME, "ada", days=2)
        gradebook.update_or_create_student("ada", first_name="Augusta Ada", last_name="King", email="ada@example.org")
        gradebook.update_or_create_assignment(NAME, duedate=DUE)
        gradebook.db.commit()
    for record in (make("ada", name="Somebody Else"), make("ada", broken=True), make("ada", passed=())):
        Gradebook(url).sync([record], [facts])
        assert marks(url, "ada")["softmax"][1:3] == (5.5, 0.5)
        assert marks(url, "ada")["essay-manual"][1] == 1.0
    with opened(url) as gradebook:
        submission = gradebook.find_submission(NAME, "ada")
        assert submission.score == 5.5 + 0.5 + 1.0
        assert gradebook.find_comment("softmax", NAME, NAME, "ada").comment == "Well done"
        assert submission.notebooks[0].flagged
        assert submission.extension == timedelta(days=2)
        assert submission.assignment.duedate == DUE.replace(tzinfo=None)
        assert submission.student.first_name == "Augusta Ada"
        assert submission.student.email == "ada@example.org"


def test_mark_given_by_hand_is_looked_at_again_only_after_a_change(url):
    """A repeated sync asks nobody anything; a new hand-in asks for the marks given by hand to be looked at again."""
    Gradebook(url).sync([make("ada")], [FACTS])
    by_hand(url, "ada", "essay-manual", manual_score=1.0)
    assert Gradebook(url).sync([make("ada")], [FACTS]).changed == 0
    assert marks(url, "ada")["essay-manual"] == (None, 1.0, None, False)
    assert Gradebook(url).sync([make("ada", late=timedelta(minutes=-1))], [FACTS]).changed == 1
    assert marks(url, "ada")["essay-manual"] == (None, 1.0, None, True)


def test_held_submission_loses_its_score_and_gets_it_back(url):
    """A held record takes the machine's score away, penalty included, without making it zero; a final one sets it."""
    late = timedelta(days=1)
    Gradebook(url).sync([make("ada", late=late)], [FACTS])
    Gradebook(url).sync([make("ada", late=late, broken=True)], [FACTS])
    assert marks(url, "ada")["softmax"] == (None, None, None, True)
    with opened(url) as gradebook:
        assert gradebook.find_submission(NAME, "ada").late_submission_penalty == 0.0
    Gradebook(url).sync([make("ada", late=late)], [FACTS])
    assert marks(url, "ada")["softmax"] == (6.0, None, None, False)


def test_exercise_that_left_the_assignment(url):
    """Its cell goes, unless somebody marked in it: then those marks stay, for no maximum, and that is said."""
    Gradebook(url).sync([make("ada"), make("bob")], [FACTS])
    by_hand(url, "ada", "essay-manual", manual_score=1.5)
    new = ExerciseSpec(id="accuracy", title="Accuracy", points=1.0)
    facts = replace(FACTS, exercises=(LOSS, new))
    result = Gradebook(url).sync([make("ada", exercises=(LOSS, new), passed=("accuracy",))], [facts])
    (notice,) = result.notices
    assert notice == (
        f"essay-manual is no longer part of {NAME}, but marks were given there by hand (students: 1). They still count."
    )
    assert marks(url, "ada") == {
        "cross_entropy": (0.0, None, None, False),
        "cross_entropy-manual": (None, None, None, True),
        "accuracy": (1.0, None, None, False),
        "essay-manual": (None, 1.5, None, False),
    }
    with opened(url) as gradebook:
        assert gradebook.find_assignment(NAME).max_score == 6.0


def test_exercise_that_a_record_does_not_know_has_no_score(url):
    """A record from before an exercise was added leaves that cell unmarked, not at zero."""
    facts = replace(FACTS, exercises=(*EXERCISES, ExerciseSpec(id="accuracy", title="Accuracy", points=1.0)))
    Gradebook(url).sync([make("ada")], [facts])
    assert marks(url, "ada")["accuracy"] == (None, None, None, True)


def test_large_class_and_two_assignments(url):
    """More students than one query takes, in two assignments, and the last record of each counts."""
    students = [f"s{number:04}" for number in range(520)]
    records = [
        make(student, passed=passed, assignment=name)
        for name in (NAME, "second")
        for passed in ((), ("softmax",))
        for student in students
    ]
    result = Gradebook(url).sync(records)
    assert (result.submissions, result.added) == (1040, 1040)
    with opened(url) as gradebook:
        for name in (NAME, "second"):
            assert gradebook.find_assignment(name).num_submissions == 520
            assert gradebook.average_assignment_score(name) == 6.0


# ── bad input ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("student", ["", "a/b", "a\nb", "a\0b", "x" * 129, "\ud800", "=1+1", " @x", "a,=1", 'a";-1'])
def test_impossible_student_id_is_reported(url, student):
    """An id that no database can keep, or that a spreadsheet would calculate, is said and left out; others are kept."""
    result = Gradebook(url).sync([make(student), make("bob")], [FACTS])
    assert result.submissions == 1
    assert "cannot be a student id in the gradebook" in result.notices[0]
    assert "\n" not in result.notices[0]


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("Ada Lovelace", "Ada", "Lovelace"),
        ("Plato", None, "Plato"),
        ('=HYPERLINK("x"),\n\0 x', "HYPERLINK( x )", "x"),
        ("-+@=", None, None),
        ("a =1+1", "a", "1+1"),
        ("\uff1d1 \uff0b1", "1", "1"),
        ("\ud800" + "x" * 500, None, "x" * 128),
        ("Jürgen 🎓 Müller", "Jürgen 🎓", "Müller"),
        ("'; DROP TABLE student; --", "' DROP TABLE student", None),
    ],
)
def test_names_are_made_harmless(url, name, first, last):
    """No name breaks the database, or the lines of nbgrader's CSV file, or becomes a formula there."""
    Gradebook(url).sync([make("ada", name=name)], [FACTS])
    with opened(url) as gradebook:
        student = gradebook.find_student("ada")
        assert (student.first_name, student.last_name) == (first, last)


def test_strange_but_possible_ids_are_kept(url):
    """Student ids with spaces, quotes and letters of any script stay as they are."""
    students = ["O'Brien --;", "李四", 'a "b" c', "../..", "%s {x}"]
    result = Gradebook(url).sync([make(student) for student in students if "/" not in student], [FACTS])
    assert result.submissions == 4
    assert marks(url, "李四")["softmax"][0] == 6.0


def test_unreadable_time_of_hand_in_is_reported(sqlite_url):
    """A time that is no time is said; the marks are written without it."""
    record = make("ada")
    record = replace(record, submission=replace(record.submission, received_at="yesterday"))
    assert Gradebook(sqlite_url).sync([record], [FACTS]).notices == (
        "ada: the time of hand-in 'yesterday' cannot be read.",
    )


def test_error_leaves_the_database_as_it_was(url):
    """When one assignment cannot be written, nothing of the batch is."""
    Gradebook(url).sync([make("ada")], [FACTS])
    before = tables(url)
    clash = AssignmentFacts(
        name="second", exercises=(LOSS, ExerciseSpec(id="cross_entropy-manual", title="x", points=1))
    )
    with pytest.raises(JournalError, match=r"'cross_entropy-manual' of 'second' cannot be told apart"):
        Gradebook(url).sync([make("bob")], [FACTS, clash])
    assert tables(url) == before


def test_disk_full_at_any_statement_is_said_and_leaves_nothing(tmp_path, sqlite_url):
    """Wherever in a sync the disk fills up: a clear error without a traceback, and the next sync does all of it."""
    Gradebook(sqlite_url).sync(CLASS, [FACTS])
    whole = tables(sqlite_url)
    database = tmp_path / "gradebook.db"
    database.unlink()
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    left = 0

    def count_down(*_):
        nonlocal left
        left -= 1
        if left == 0:
            resource.setrlimit(resource.RLIMIT_FSIZE, (512, unlimited[1]))  # a disk without room, for a process

    event.listen(Engine, "before_cursor_execute", count_down)
    try:
        failures = 0
        for statement in range(1, 1000):
            left = statement
            try:
                Gradebook(sqlite_url).sync(CLASS, [FACTS])
            except JournalError as error:
                failures += 1
                resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
                assert "every mark is in the journal" in str(error)
                assert tables(sqlite_url) == {}, f"statement {statement} left something"
            else:
                break
        assert left > 0, "no sync got through before every statement was tried"
        assert failures > 40  # nbgrader's tables alone are a dozen
    finally:
        event.remove(Engine, "before_cursor_execute", count_down)
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert tables(sqlite_url) == whole


def test_foreign_database_is_left_alone(tmp_path, sqlite_url):
    """A database of some other program, or of another version of nbgrader, is not written to."""
    with sqlite3.connect(tmp_path / "gradebook.db") as connection:
        connection.execute("CREATE TABLE recipes (title TEXT)")
    connection.close()
    with pytest.raises(JournalError) as caught:
        Gradebook(sqlite_url).sync(CLASS, [FACTS])
    assert str(caught.value) == (
        f"{sqlite_url}: the database is not a gradebook of the installed version of nbgrader\n"
        "  → run `nbgrader db upgrade` on it, or name another database"
    )
    assert list(tables(sqlite_url)) == ["recipes"]


def test_locked_database_is_said(tmp_path, sqlite_url):
    """A database that another program holds locked ends in an error that says so."""
    Gradebook(sqlite_url).sync(CLASS, [FACTS])
    other = sqlite3.connect(tmp_path / "gradebook.db")
    other.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(JournalError, match=r"database is locked(.|\n)*every mark is in the journal"):
            Gradebook(f"{sqlite_url}?timeout=0.05").sync([make("zoe")], [FACTS])
    finally:
        other.close()


def test_password_is_never_shown():
    """No message shows the password of a URL, not even of one that cannot be read."""
    for url in (
        "postgresql+psycopg://grader:secret@localhost:1/x?connect_timeout=1",
        "nosuchdatabase://grader:secret@host/x",
        "secret and no url",
    ):
        with pytest.raises(JournalError) as caught:
            Gradebook(url).sync([], [FACTS])
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("bad", ["..", ".", "", "a/b", "/etc", "a\0b"])
def test_autograded_path_stays_inside(tmp_path, bad):
    """No student, assignment or notebook names a file outside the course folder."""
    inside = tmp_path / "autograded" / "ada" / NAME / f"{NAME}.ipynb"
    assert autograded_path(tmp_path, "ada", NAME) == inside
    for arguments in ((bad, NAME), ("ada", bad), ("ada", NAME, bad)):
        if arguments != ("ada", NAME, ""):
            with pytest.raises(JournalError, match="cannot be the name of a folder"):
                autograded_path(tmp_path, *arguments)
