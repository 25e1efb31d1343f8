"""What a mark depends on, in parts: so that a change marks again what it touches and nothing else."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grader.checkfile import check_versions
from grader.marker import SHOWN, assignment_version, check_files, data_files

if TYPE_CHECKING:
    from grader.config import Assignment, Course
    from grader.model import Record

__all__ = ["Versions", "stale", "versions"]

RUBRIC = {"exercises", "points", "due", "late"}
"""Settings that change the sum only: points of a check stand in its file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """An assignment as it is now; hex SHA-256 each."""

    whole: str
    setting: str
    """Given code, data, reference, released notebook, limits, sandbox: every check depends on it."""
    rubric: str
    """Exercises, due date, penalty: only the sum depends on it."""
    checks: dict[str, str]
    """By the check's id."""
    extended: dict[str, str]
    """What stands for ``rubric`` for students whose work is due at another time."""

    def rubric_of(self, student: str) -> str:
        """What the sum of a student's depends on."""
        return self.extended.get(student, self.rubric)


def versions(course: Course, assignment: Assignment) -> Versions:
    """What is in the assignment's folders and in course.yaml now. Raises CourseError when a check file is missing."""
    setting = hashlib.sha256()
    paths = [assignment.solution_path, *data_files(assignment)]
    for path in [*paths, assignment.folder / "given.py", assignment.notebook_path]:
        setting.update(path.name.encode() + b"\0")
        if path.is_file():
            setting.update(hashlib.sha256(path.read_bytes()).digest())
    setting.update(json.dumps(assignment.model_dump(mode="json", exclude=SHOWN | RUBRIC), sort_keys=True).encode())
    rubric = json.dumps(assignment.model_dump(mode="json", include=RUBRIC), sort_keys=True)
    checks: dict[str, str] = {}
    for path, _ in check_files(assignment):
        checks |= check_versions(path.read_bytes())
    return Versions(
        whole=assignment_version(course, assignment),
        setting=setting.hexdigest(),
        rubric=hashlib.sha256(rubric.encode()).hexdigest(),
        checks=checks,
        extended={
            student: hashlib.sha256(f"{rubric} {due.isoformat()}".encode()).hexdigest()
            for student, due in assignment.extensions.items()
        },
    )


def stale(record: Record, now: Versions) -> frozenset[str] | None:
    """The checks whose verdicts on a record no longer count; None: all of them, the cells must be run anew."""
    if record.assignment_sha256 == now.whole:
        return frozenset()
    had = {result.check.id: result.check.source_hash for result in record.checks}
    if record.setting_sha256 != now.setting or had.keys() != now.checks.keys():
        return None
    return frozenset(name for name, version in had.items() if version != now.checks[name])
