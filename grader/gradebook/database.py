"""nbgrader's gradebook, filled from records: what formgrader and every nbgrader exporter open.

The tables are nbgrader's own, made from its own definitions; a submission gets every row that nbgrader's
``add_submission`` and autograder would have made, in bulk and in one transaction a batch. An exercise is a grade cell
with the exercise's id (and a solution cell of the same name, so that a comment can be left); what a person marks in
it is a second one, ``<exercise>-manual``.

Our part of a row is ``auto_score``, ``timestamp``, ``late_submission_penalty`` and ``needs_manual_grade``. What
people enter (``manual_score``, ``extra_credit``, comments, flags, extensions, names) is never written over. As in
nbgrader, a mark given by hand asks to be looked at again when the work under it is marked anew and differs.

Row ids are hashes of what the row is about, so a database rebuilt from the journal is the same database.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader.errors import JournalError, Place
from grader.files import FORMULA, FORMULA_SIGNS
from grader.gradebook.batch import Batch, CellPlan, Submission
from grader.startup import without_grammars

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy.engine import URL, Connection, Engine

    from grader.gradebook.journal import Journal
    from grader.model import ExerciseSpec, Record

__all__ = ["AssignmentFacts", "Gradebook", "SyncResult", "autograded_path", "rebuild"]

_LONGEST = 128
"""nbgrader's columns for names and student ids."""
_AT_ONCE = 500
"""Students looked up in one query: below every database's limit on parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentFacts:
    """What the gradebook must know of an assignment that its records don't say."""

    name: str
    exercises: tuple[ExerciseSpec, ...]
    notebook: str = ""
    """The notebook's name without ``.ipynb``; the assignment's when empty."""
    due: datetime | None = None
    """With an offset. None leaves a date that somebody set in nbgrader alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncResult:
    """What one ``sync`` did."""

    submissions: int
    """Submissions looked at: one for each student and assignment."""
    added: int
    changed: int
    held: int
    """Submissions without a score."""
    notices: tuple[str, ...] = ()
    """What a person should know, a sentence each."""


class Gradebook:
    """nbgrader's database at an SQLAlchemy URL (``sqlite:///gradebook.db``, ``postgresql://…``).

    Nothing is opened, nor nbgrader imported (seconds), before ``sync``.
    """

    def __init__(self, url: str, *, course: str = "default_course") -> None:
        self.url = url
        self.course = course

    def sync(self, records: Iterable[Record], assignments: Sequence[AssignmentFacts] = ()) -> SyncResult:
        """Bring the database up to date with ``records``: all of it, or nothing on an error.

        Of several records of one student and assignment the last counts. An assignment without facts takes its
        exercises from its last record. Running it again with the same records changes nothing.

        Raises:
            JournalError: The database cannot be used, or an assignment cannot be told apart in it.
        """
        newest = {(record.submission.assignment, record.submission.student): record for record in records}
        facts = _facts(newest.values(), assignments)
        notices: list[str] = []
        counts: Counter[str] = Counter()
        with self._connected() as connection:
            for fact in facts:
                mine = [record for (assignment, _), record in newest.items() if assignment == fact.name]
                kept = [record for record in mine if _fits(record.submission.student, notices)]
                batch = Batch(
                    connection,
                    course=self.course,
                    assignment=fact.name,
                    notebook=fact.notebook or fact.name,
                    due=_naive_utc(fact.due),
                    cells=_cells(fact),
                )
                notices += batch.prepare()
                for start in range(0, len(kept), _AT_ONCE):
                    counts += batch.write([_submission(record, notices) for record in kept[start : start + _AT_ONCE]])
                counts["submissions"] += len(kept)
                counts["held"] += sum(record.is_held for record in kept)
        return SyncResult(
            submissions=counts["submissions"],
            added=counts["added"],
            changed=counts["changed"],
            held=counts["held"],
            notices=tuple(notices),
        )

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """A transaction on a database that has nbgrader's tables; every database error as a JournalError."""
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import ArgumentError, SQLAlchemyError

        try:
            url = make_url(self.url)
        except ArgumentError:
            raise JournalError(
                "the gradebook's URL cannot be read",  # nor shown: it may hold a password
                remedy="write it like sqlite:///gradebook.db or postgresql://user@host/database",
            ) from None
        try:
            without_grammars()
            engine = _engine(url)
            try:
                with engine.begin() as connection:
                    _make_ready(connection, _place(url))
                    yield connection
            finally:
                engine.dispose()
        except ModuleNotFoundError as error:
            raise JournalError(
                f"the gradebook's database needs the Python package {error.name}",
                place=_place(url),
                remedy=f"pip install '{error.name}[binary]'"
                if error.name == "psycopg"
                else f"pip install {error.name}",
            ) from error
        except (SQLAlchemyError, OSError) as error:
            reason = str(getattr(error, "orig", None) or error).strip().split("\n")[0]
            raise JournalError(
                f"the gradebook cannot be used: {reason}",
                place=_place(url),
                remedy="see that it is reachable, writable and not locked by another program, then run again: "
                "every mark is in the journal",
            ) from error


def rebuild(
    journal: Journal, url: str, assignments: Sequence[AssignmentFacts] = (), *, course: str = "default_course"
) -> SyncResult:
    """Make the gradebook anew from the journal alone; what people entered in an existing one stays."""
    return Gradebook(url, course=course).sync(journal.latest().values(), assignments)


def autograded_path(root: Path, student: str, assignment: str, notebook: str | None = None) -> Path:
    """Where formgrader looks for the notebook of a submission: ``autograded/<student>/<assignment>/<name>.ipynb``.

    Formgrader lists an assignment when ``source/<assignment>/`` is a folder, and a submission for marking by hand when
    this file exists. Its cells must carry nbgrader metadata with our cells' names as ``grade_id``. Where there is a
    folder ``submitted/<student>/<assignment>/`` too, its ``timestamp.txt`` must hold the time that the gradebook has,
    or the submission counts as not marked.

    Raises:
        JournalError: A name cannot be a folder's name (``../x``); nothing outside ``root`` is ever named.
    """
    names = (student, assignment, notebook or assignment)
    for name in names:
        if not _is_name(name) or name in (".", ".."):
            raise JournalError(
                f"{name[:_LONGEST]!r} cannot be the name of a folder",
                place=Place(file=str(root / "autograded")),
                remedy="rename the submission's folder to the student's id and mark it again",
            )
    return root / "autograded" / student / assignment / f"{names[2]}.ipynb"


def _engine(url: URL) -> Engine:
    """An engine whose transactions hold table definitions too.

    Python's driver for SQLite would commit each of those by itself: https://docs.sqlalchemy.org/en/20/dialects/sqlite.html
    """
    from sqlalchemy import create_engine, event

    sqlite = url.get_backend_name() == "sqlite"
    if sqlite and url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url)
    if sqlite:

        @event.listens_for(engine, "connect")
        def leave_transactions_to_us(connection: Any, _: object) -> None:
            connection.isolation_level = None

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _make_ready(connection: Connection, place: Place) -> None:
    """See that the database is nbgrader's at the schema's head; make an empty one that.

    nbgrader's own way asks an ``alembic`` on the PATH for the version, and there need not be one; and it commits
    halfway, so that a disk full at that instant leaves a database that nobody can use.
    """
    from alembic.script import ScriptDirectory
    from nbgrader.api import Base
    from nbgrader.dbutil import ALEMBIC_DIR
    from sqlalchemy import inspect, text

    head = ScriptDirectory(ALEMBIC_DIR).get_current_head()
    tables = inspect(connection).get_table_names()
    if not tables:
        Base.metadata.create_all(connection)
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
        connection.execute(text("INSERT INTO alembic_version (version_num) VALUES (:head)"), {"head": head})
        return
    known = "alembic_version" in tables
    if not known or connection.execute(text("SELECT version_num FROM alembic_version")).scalar() != head:
        raise JournalError(
            "the database is not a gradebook of the installed version of nbgrader",
            place=place,
            remedy="run `nbgrader db upgrade` on it, or name another database",
        )


def _place(url: URL) -> Place:
    return Place(file=url.render_as_string(hide_password=True))


def _facts(records: Iterable[Record], assignments: Sequence[AssignmentFacts]) -> list[AssignmentFacts]:
    facts = {fact.name: fact for fact in assignments}
    last = {record.submission.assignment: record for record in records}
    for name, record in last.items():
        if name not in facts:
            facts[name] = AssignmentFacts(name=name, exercises=tuple(item.exercise for item in record.exercises))
    return list(facts.values())


def _cells(facts: AssignmentFacts) -> tuple[CellPlan, ...]:
    cells: dict[str, CellPlan] = {}
    for exercise in facts.exercises:
        by_checks = round(exercise.points - exercise.manual_points, 6)
        counted = 0.0 if exercise.bonus else 1.0  # nbgrader adds the cells' points up to what the assignment is worth
        plans = [
            CellPlan(name=exercise.id, exercise=exercise.id, max_score=counted * by_checks, manual=False),
            CellPlan(
                name=f"{exercise.id}-manual",
                exercise=exercise.id,
                max_score=counted * exercise.manual_points,
                manual=True,
            ),
        ]
        if exercise.manual_points <= 0:
            plans.pop()
        elif by_checks <= 0:
            plans.pop(0)
        for plan in plans:
            if cells.setdefault(plan.name, plan) is not plan or not _is_name(plan.name):
                raise JournalError(
                    f"the exercise {exercise.id!r} of {facts.name!r} cannot be told apart in the gradebook",
                    remedy="give every exercise an id of its own, under 120 characters and not ending in -manual",
                )
    return tuple(cells.values())


def _submission(record: Record, notices: list[str]) -> Submission:
    """One submission as the batch wants it; everything that came from outside is cleaned here."""
    ref = record.submission
    first, last = _names(ref.name) if ref.name != ref.student else (None, None)
    received = None
    if ref.received_at is not None:
        try:
            received = _naive_utc(datetime.fromisoformat(ref.received_at))
        except (ValueError, OverflowError):
            notices.append(f"{ref.student}: the time of hand-in {ref.received_at[:40]!r} cannot be read.")
    penalty = -sum(step.points for step in record.steps if step.points < 0)
    held = record.is_held
    return Submission(
        student=ref.student,
        first_name=first,
        last_name=last,
        timestamp=received,
        penalty=round(penalty, 6) if penalty > 0 and not held else None,
        earned={} if held else {item.exercise.id: item.earned for item in record.exercises},
        pending={} if held else {item.exercise.id: item.pending for item in record.exercises},
    )


def _fits(student: str, notices: list[str]) -> bool:
    if not _is_name(student):
        why = f"it is empty, longer than {_LONGEST} characters, or has a slash or a control character in it"
    elif FORMULA.search(student):
        why = "a spreadsheet would take it for a formula"
    else:
        return True
    notices.append(f"{student[:40]!r} cannot be a student id in the gradebook: {why}. The record stays in the journal.")
    return False


def _is_name(text: str) -> bool:
    return 0 < len(text) <= _LONGEST and "/" not in text and not any(_is_control(sign) for sign in text)


def _is_control(sign: str) -> bool:
    return unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp")


def _names(name: str) -> tuple[str | None, str | None]:
    """First and last name, as harmless as nbgrader's CSV exporter needs them: it quotes nothing."""
    clean = "".join(" " if _is_control(sign) or sign in ',;"' else sign for sign in name)
    words = re.sub(rf"^[{FORMULA_SIGNS}\s]+", "", clean).split()
    last = re.sub(rf"^[{FORMULA_SIGNS}]+", "", words[-1][:_LONGEST]) if words else ""
    first = " ".join(words[:-1])[:_LONGEST]
    return first or None, last or None


def _naive_utc(when: datetime | None) -> datetime | None:
    """A time as nbgrader keeps it: in UTC without saying so; a time without an offset is taken for UTC."""
    if when is None or when.tzinfo is None:
        return when
    return when.astimezone(UTC).replace(tzinfo=None)
