"""One assignment's rows in nbgrader's tables: compared with what is there, then inserted and updated in bulk."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy.engine import Connection

__all__ = ["Batch", "CellPlan", "Submission"]

_KERNELSPEC = '{"display_name": "Python 3", "language": "python", "name": "python3"}'
_TABLES = ("student", "submitted_assignment", "submitted_notebook", "grade", "comment")
"""In the order in which rows can be inserted: each refers to the ones before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellPlan:
    """A grade cell that the assignment must have."""

    name: str
    exercise: str
    max_score: float
    manual: bool
    """Marked by a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One submission, clean and ready to be written."""

    student: str
    first_name: str | None
    last_name: str | None
    timestamp: datetime | None
    """UTC, without saying so."""
    penalty: float | None
    earned: dict[str, float]
    """Points by exercise; an exercise that is not in it has no score, which is not zero."""
    pending: dict[str, float]
    """Points that a person has yet to give, by exercise."""

    def auto_score(self, cell: CellPlan) -> float | None:
        """The machine's mark in a cell; None when a person has to look."""
        if cell.exercise not in self.earned:
            return None
        if cell.manual:
            return None if self.pending.get(cell.exercise) else 0.0
        return self.earned[cell.exercise]


@dataclass(slots=True)
class _Known:
    """What the database holds of some students' submissions."""

    students: dict[str, Any]
    submitted: dict[str, Any]
    """By student."""
    notebooks: dict[str, Any]
    """By id of the submitted assignment."""
    grades: dict[tuple[str, str], Any]
    """By submitted notebook and cell."""
    comments: frozenset[tuple[str, str]]


@dataclass(slots=True)
class _Work:
    """Rows to write, by table."""

    inserts: defaultdict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    updates: defaultdict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))

    @property
    def rows(self) -> int:
        return sum(map(len, self.inserts.values())) + sum(map(len, self.updates.values()))


class Batch:
    """Writes submissions of one assignment through one open transaction. Call ``prepare`` first."""

    def __init__(
        self,
        connection: Connection,
        *,
        course: str,
        assignment: str,
        notebook: str,
        due: datetime | None,
        cells: Sequence[CellPlan],
    ) -> None:
        from nbgrader import api

        self._connection = connection
        self._course = course
        self._assignment = assignment
        self._notebook = notebook
        self._due = due
        self._plan = {cell.name: cell for cell in cells}
        self._tables: dict[str, Any] = dict(api.Base.metadata.tables)
        self._assignment_id = ""
        self._notebook_id = ""
        self._graded: dict[str, CellPlan | None] = {}
        """Plan by id of every cell that has a grade; None for a cell that is not ours to mark."""
        self._commented: list[str] = []
        """Ids of the cells that can have a comment."""

    # ── the assignment ───────────────────────────────────────────────────────────────────────────────────────────

    def prepare(self) -> list[str]:
        """Make the assignment, its notebook and its cells what they should be; return what people should know."""
        self._upsert("course", {"id": self._course})
        self._assignment_id = self._upsert(
            "assignment",
            {"name": self._assignment},
            values={} if self._due is None else {"duedate": self._due},
            new={"id": _row_id("assignment", self._assignment), "course_id": self._course},
        )
        self._notebook_id = self._upsert(
            "notebook",
            {"name": self._notebook, "assignment_id": self._assignment_id},
            new={"id": _row_id("notebook", self._assignment, self._notebook), "kernelspec": _KERNELSPEC},
        )
        notices = self._drop_obsolete()
        for cell in self._plan.values():
            grade_id, solution_id = self._cell("GradeCell", cell.name), self._cell("SolutionCell", cell.name)
            kind = "markdown" if cell.manual else "code"
            self._upsert("grade_cells", {"id": grade_id}, values={"max_score": cell.max_score, "cell_type": kind})
            self._upsert("solution_cells", {"id": solution_id})
            self._graded[grade_id] = cell
        base = self._tables["base_cell"]
        for row in self._rows(base.select().where(base.c.notebook_id == self._notebook_id).order_by(base.c.name)):
            if row.type in ("GradeCell", "TaskCell"):
                self._graded.setdefault(row.id, None)
            if row.type in ("SolutionCell", "TaskCell"):
                self._commented.append(row.id)
        return notices

    def _cell(self, kind: str, name: str) -> str:
        return self._upsert(
            "base_cell",
            {"name": name, "notebook_id": self._notebook_id, "type": kind},
            new={"id": _row_id(kind, self._assignment, self._notebook, name)},
        )

    def _drop_obsolete(self) -> list[str]:
        """Remove grade cells that are no longer in the assignment, save those in which a person has marked."""
        base, grade, cells = self._tables["base_cell"], self._tables["grade"], self._tables["grade_cells"]
        notices = []
        query = base.select().where(base.c.notebook_id == self._notebook_id, base.c.type == "GradeCell")
        for row in self._rows(query.order_by(base.c.name)):
            if row.name in self._plan:
                continue
            mine = grade.c.cell_id == row.id
            by_hand = grade.c.manual_score.is_not(None) | grade.c.extra_credit.is_not(None)
            students = len(self._rows(grade.select().where(mine, by_hand)))
            if students:
                self._connection.execute(grade.update().where(mine).values(auto_score=None, needs_manual_grade=False))
                self._connection.execute(cells.update().where(cells.c.id == row.id).values(max_score=0.0))
                notices.append(
                    f"{row.name} is no longer part of {self._assignment}, but marks were given there by hand "
                    f"(students: {students}). They still count."
                )
            else:
                self._connection.execute(grade.delete().where(mine))
                self._connection.execute(cells.delete().where(cells.c.id == row.id))
                self._connection.execute(base.delete().where(base.c.id == row.id))
        return notices

    # ── submissions ──────────────────────────────────────────────────────────────────────────────────────────────

    def write(self, submissions: Sequence[Submission]) -> Counter[str]:
        """Write submissions of different students; count the ones ``added`` and ``changed``."""
        known = self._known([item.student for item in submissions])
        work = _Work()
        counts: Counter[str] = Counter()
        for item in submissions:
            rows = work.rows
            self._plan_submission(item, known, work)
            counts["changed" if item.student in known.submitted else "added"] += work.rows > rows
        for table in _TABLES:
            self._execute(table, work.inserts[table], work.updates[table])
        return counts

    def _plan_submission(self, item: Submission, known: _Known, work: _Work) -> None:
        self._plan_student(item, known, work)
        old = known.submitted.get(item.student)
        key = (self._assignment, item.student)
        submission_id = old.id if old else _row_id("submission", *key)
        if old is None:
            work.inserts["submitted_assignment"].append(
                {
                    "id": submission_id,
                    "assignment_id": self._assignment_id,
                    "student_id": item.student,
                    "timestamp": item.timestamp,
                    "extension": None,
                }
            )
        elif old.timestamp != item.timestamp:
            work.updates["submitted_assignment"].append({"id": submission_id, "timestamp": item.timestamp})

        notebook = known.notebooks.get(submission_id)
        notebook_id = notebook.id if notebook else _row_id("submitted notebook", *key, self._notebook)
        if notebook is None:
            work.inserts["submitted_notebook"].append(
                {
                    "id": notebook_id,
                    "assignment_id": submission_id,
                    "notebook_id": self._notebook_id,
                    "flagged": False,
                    "late_submission_penalty": item.penalty,
                }
            )
        elif notebook.late_submission_penalty != item.penalty:
            work.updates["submitted_notebook"].append({"id": notebook_id, "late_submission_penalty": item.penalty})

        for cell_id in self._graded:
            self._plan_grade(item, (notebook_id, cell_id), known, work)
        work.inserts["comment"] += [
            {
                "id": _row_id("comment", notebook_id, cell_id),
                "cell_id": cell_id,
                "notebook_id": notebook_id,
                "auto_comment": None,
                "manual_comment": None,
            }
            for cell_id in self._commented
            if (notebook_id, cell_id) not in known.comments
        ]

    def _plan_student(self, item: Submission, known: _Known, work: _Work) -> None:
        row = known.students.get(item.student)
        names = {"first_name": item.first_name, "last_name": item.last_name}
        if row is None:
            work.inserts["student"].append({"id": item.student, "email": None, "lms_user_id": None} | names)
        elif any(names.values()) and row.first_name is None and row.last_name is None:
            work.updates["student"].append({"id": item.student} | names)

    def _plan_grade(self, item: Submission, key: tuple[str, str], known: _Known, work: _Work) -> None:
        """One grade, ``key`` being its submitted notebook and its cell."""
        cell, old = self._graded[key[1]], known.grades.get(key)
        auto = item.auto_score(cell) if cell is not None else None
        if old is None:
            work.inserts["grade"].append(
                {
                    "id": _row_id("grade", *key),
                    "notebook_id": key[0],
                    "cell_id": key[1],
                    "auto_score": auto,
                    "manual_score": None,
                    "extra_credit": None,
                    "needs_manual_grade": auto is None,
                }
            )
            return
        if cell is None:
            return
        needs = auto is None
        if old.manual_score is not None:  # nbgrader's rule: what was marked anew is looked at again
            anew = old.auto_score != auto or known.submitted[item.student].timestamp != item.timestamp
            needs = True if anew else old.needs_manual_grade
        if (old.auto_score, old.needs_manual_grade) != (auto, needs):
            work.updates["grade"].append({"id": old.id, "auto_score": auto, "needs_manual_grade": needs})

    # ── the database ─────────────────────────────────────────────────────────────────────────────────────────────

    def _known(self, students: Sequence[str]) -> _Known:
        people, submitted, notebooks, grades, comments = (self._tables[name] for name in _TABLES)
        mine = (submitted.c.assignment_id == self._assignment_id) & submitted.c.student_id.in_(students)
        submissions = self._rows(submitted.select().where(mine))
        ids = [row.id for row in submissions]
        ours = (notebooks.c.notebook_id == self._notebook_id) & notebooks.c.assignment_id.in_(ids)
        handed_in = self._rows(notebooks.select().where(ours))
        # by id, not by a join: nbgrader's tables have no index that a join could use
        ids = [row.id for row in handed_in]
        return _Known(
            students={row.id: row for row in self._rows(people.select().where(people.c.id.in_(students)))},
            submitted={row.student_id: row for row in submissions},
            notebooks={row.assignment_id: row for row in handed_in},
            grades={
                (row.notebook_id, row.cell_id): row
                for row in self._rows(grades.select().where(grades.c.notebook_id.in_(ids)))
            },
            comments=frozenset(
                (row.notebook_id, row.cell_id)
                for row in self._rows(comments.select().where(comments.c.notebook_id.in_(ids)))
            ),
        )

    def _rows(self, query: Any) -> list[Any]:
        return list(self._connection.execute(query))

    def _upsert(
        self, name: str, key: dict[str, Any], *, values: dict[str, Any] | None = None, new: dict[str, Any] | None = None
    ) -> str:
        """See that the row that ``key`` picks exists and holds ``values``; return its id. ``new``: set once only."""
        table, values = self._tables[name], values or {}
        query = table.select().where(*(table.c[column] == value for column, value in key.items()))
        row = self._connection.execute(query).one_or_none()
        if row is None:
            row_id = (new or key)["id"]
            self._connection.execute(table.insert().values(key | values | (new or {})))
        else:
            row_id = row.id
            if any(getattr(row, column) != value for column, value in values.items()):
                self._connection.execute(table.update().where(table.c.id == row_id).values(values))
        return str(row_id)

    def _execute(self, name: str, inserts: list[dict[str, Any]], updates: list[dict[str, Any]]) -> None:
        from sqlalchemy import bindparam

        table = self._tables[name]
        if inserts:
            self._connection.execute(table.insert(), inserts)
        for rows in _by_columns(updates):
            columns: dict[str, Any] = {column: bindparam(f"to_{column}") for column in rows[0] if column != "id"}
            statement = table.update().where(table.c.id == bindparam("to_id")).values(columns)
            self._connection.execute(statement, [{f"to_{column}": row[column] for column in row} for row in rows])


def _by_columns(rows: Iterable[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    groups: defaultdict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[tuple(row)].append(row)
    return list(groups.values())


def _row_id(*parts: str) -> str:
    """The id of the row that is about ``parts``: 32 hex digits, as nbgrader's own."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
